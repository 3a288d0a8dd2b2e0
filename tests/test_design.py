"""The rules of the house, held by reading the imports (docs/design.md)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CODE = sorted(path for folder in ("flows", "tasks") for path in (ROOT / folder).rglob("*.py"))


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


NOUNS = {"source", "folds", "model", "loss", "optimizer", "search", "ensemble", "strategy", "check", "calibration",
         "format", "promotion"}  # fmt: skip
VERBS = {
    "prepare", "split", "inspect", "trial", "finetune", "combine", "conclude", "evaluate", "correct", "examine",
    "judge", "export", "register", "promote", "report", "score", "observe", "generate",
}  # fmt: skip
ALLOWED_HOME = {
    "hydra": {"flows/config.py", "flows/overrides.py"},
    "omegaconf": {"flows/config.py", "flows/overrides.py", "flows/build.py", "flows/cli.py"},
    "huggingface_hub": {"tasks/hub.py"},
    "mlflow": {
        f"tasks/{name}.py"
        for name in ("tracking", "trial_log", "parent_run", "recorded", "registry", "aliases", "pyfunc", "register",
                     "looks", "champion", "run_list", "leftovers", "named_run")
    },
    "torch": {
        *(f"tasks/model/{one}.py" for one in ("mlp", "_net", "_batches", "_learner", "_epochs")),
        *(f"tasks/model/{one}.py" for one in ("_loss", "_unit", "_device", "_on_base", "_net_way", "_base_rows")),
        *(f"tasks/model/{one}.py" for one in ("text_encoder", "_text_rows", "_encoder", "_tokens", "_corpus")),
        *(f"tasks/model/{one}.py" for one in ("_tuning", "_encoder_ways")),
        *(f"tasks/model/{one}.py" for one in ("_generator", "_generator_ways", "_new_generator", "_pairs", "_respond")),
        "tasks/model/_writing.py",
        *(name(path) for path in CODE if path.parent.name == "optimizer"),
        "tasks/format/_text.py", "tasks/format/_writer.py", "tasks/text_parity.py",
    },
    "transformers": {
        f"tasks/model/{one}.py" for one in ("_encoder", "_generator", "_new_generator", "_prompt", "_respond")
    },
    "tokenizers": {
        *(f"tasks/model/{one}.py" for one in ("_encoder", "_tokens", "_generator", "_new_generator", "_prompt")),
        "tasks/parity.py",
    },
    "peft": {"tasks/model/_encoder_ways.py", "tasks/model/_generator_ways.py"},
    "onnx": {
        f"tasks/format/{one}.py"
        for one in ("_graph", "_trees", "_text", "_writer", "_tensorflow", "_operators", "_forest", "_eight_bits")
    },
    "tensorflow": {f"tasks/format/{one}.py" for one in ("_tensorflow", "_operators", "_forest", "_run_tensorflow")},
    "onnxruntime": {f"tasks/format/{one}.py" for one in ("onnx", "_run_onnx", "_eight_bits")},
}


def imports(path: Path, *, at_the_top: bool = False) -> set[str]:
    """Dotted names that a file imports; `from a import b` counts as a and as a.b."""
    tree = ast.parse(path.read_text())
    nodes = tree.body if at_the_top else list(ast.walk(tree))
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def roots(path: Path) -> set[str]:
    return {found.partition(".")[0] for found in imports(path)}


@pytest.mark.parametrize("path", CODE, ids=name)
def test_a_library_is_known_only_where_the_design_says(path: Path) -> None:
    strangers = {
        library for library, homes in ALLOWED_HOME.items() if library in roots(path) and name(path) not in homes
    }
    assert not strangers


@pytest.mark.parametrize("path", CODE, ids=name)
def test_tasks_never_import_flows(path: Path) -> None:
    assert not (name(path).startswith("tasks/") and "flows" in roots(path))


@pytest.mark.parametrize("path", CODE, ids=name)
def test_prefect_stays_in_flows_and_verbs(path: Path) -> None:
    is_verb = path.parent.name == "tasks" and path.stem in VERBS
    assert name(path).startswith("flows/") or is_verb or "prefect" not in roots(path)


@pytest.mark.parametrize("path", CODE, ids=name)
def test_no_verb_imports_a_verb(path: Path) -> None:
    if path.parent.name != "tasks" or path.stem not in VERBS:
        return
    found = {found.split(".")[1] for found in imports(path) if found.startswith("tasks.")}
    assert not found & VERBS - {path.stem}


@pytest.mark.parametrize("path", CODE, ids=name)
def test_no_noun_imports_another_noun_or_a_verb(path: Path) -> None:
    noun = path.relative_to(ROOT).parts[1] if name(path).startswith("tasks/") else ""
    if noun not in NOUNS:
        return
    own = {found.split(".")[1] for found in imports(path) if found.startswith("tasks.")}
    allowed = {"model": {"loss", "optimizer"}, "strategy": {"loss", "model"}, "calibration": {"model"}}
    allowed["check"] = {"model", "calibration"}
    allowed["format"] = {"model", "strategy"}
    allowed["promotion"] = {"check"}
    assert not own & (NOUNS | VERBS) - {noun} - allowed.get(noun, set())


@pytest.mark.parametrize("path", sorted((ROOT / "conf").glob("*/*.yaml")), ids=name)
def test_a_choice_of_ours_lies_where_its_configuration_lies(path: Path) -> None:
    lines = [line for line in path.read_text().splitlines() if line.startswith("_target_:")]
    target = lines[0].split()[1] if lines else ""
    home = {"runner": "flows.runner"}.get(path.parent.name, f"tasks.{path.parent.name}.{path.stem}")
    assert not target.startswith(("tasks.", "flows.")) or target.rpartition(".")[0] == home


def test_the_command_line_starts_without_heavy_libraries() -> None:
    heavy = {"prefect", "mlflow", "hydra", "pandas", "sklearn", "lightgbm", "optuna", "numpy", "rich"}
    for path in (
        ROOT / "flows/cli.py",
        ROOT / "flows/__init__.py",
        ROOT / "flows/server.py",
        ROOT / "flows/address.py",
        ROOT / "flows/process.py",
        ROOT / "tasks/tracking.py",
    ):
        assert not {found.partition(".")[0] for found in imports(path, at_the_top=True)} & heavy, path


def test_every_package_is_named_in_the_project_file() -> None:
    listed = (ROOT / "pyproject.toml").read_text()
    packages = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "tasks").rglob("*.py")}
    packages |= {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "conf").rglob("*.yaml")}
    assert not {package for package in packages if f'"{package}"' not in listed}
