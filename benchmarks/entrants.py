"""Who takes part in the quality benchmark: each a module below `benchmarks.peers` that runs in an environment."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import environments
from benchmarks.place import ROOT

OWN = "finefold"
TOLD = (
    "flaml", "optuna", "optuna-integration", "scikit-learn", "sklearn-genetic-opt", "autogluon.tabular", "lightgbm",
    "xgboost", "xgboost-cpu", "catboost", "torch", "ray", "pandas", "numpy", "prefect", "mlflow",
)  # fmt: skip


@dataclass(frozen=True)
class Entrant:
    """`environment`: a name in `environments.REQUIREMENTS`, or None for the interpreter that runs the benchmark."""

    module: str
    environment: str | None
    options: Mapping[str, Any] = field(default_factory=dict)

    def code(self) -> str:
        """A digest of all that decides what it does: a result of other code is not a result of this one."""
        folders = [ROOT / name for name in ("flows", "tasks", "conf")] if self.environment is None else []
        files = [path for folder in folders for path in folder.rglob("*") if path.suffix in (".py", ".yaml")]
        files += [*(ROOT / "benchmarks/peers").glob("_*.py"), ROOT / f"benchmarks/peers/{self.module}.py"]
        requirements = environments.REQUIREMENTS.get(self.environment or "", ())
        digest = hashlib.sha256(json.dumps([requirements, dict(self.options)]).encode())
        for path in sorted(files):
            digest.update(path.read_bytes())
        return digest.hexdigest()[:12]

    def interpreter(self, root: Path) -> Path:
        """Its environment is made where it is missing.

        Raises:
            RuntimeError: when it can't be made.
        """
        return Path(sys.executable) if self.environment is None else environments.python(self.environment, root)


ENTRANTS: dict[str, Entrant] = {
    OWN: Entrant("finefold_run", None),
    f"{OWN}_ensemble": Entrant("finefold_run", None, {"overrides": ["model=[lightgbm,mlp,forest]", "ensemble=greedy"]}),
    f"{OWN}_nets": Entrant("finefold_run", None, {"overrides": ["model=mlp"]}),
    f"{OWN}_both": Entrant("finefold_run", None, {"overrides": ["model=[lightgbm,mlp]"]}),
    "flaml": Entrant("flaml_automl", "flaml"),
    "optuna_cv": Entrant("optuna_cv", "optuna"),
    "optuna_tuner": Entrant("optuna_tuner", "optuna"),
    "sklearn_random": Entrant("sklearn_random", "sklearn"),
    "sklearn_halving": Entrant("sklearn_halving", "sklearn"),
    "sklearn_genetic_opt": Entrant("sklearn_genetic_opt", "sklearn_genetic"),
    "autogluon_medium": Entrant("autogluon_tabular", "autogluon", {"preset": "medium_quality"}),
    "autogluon_good": Entrant("autogluon_tabular", "autogluon", {"preset": "good_quality"}),
}


def can_run(name: str) -> bool:
    """Whether what its overrides name is there and installed; true of all that aren't finefold itself."""
    from flows.config import compose
    from flows.plan import plan
    from tasks.refusal import Refusal

    try:
        plan(compose(ENTRANTS[name].options.get("overrides", [])))
    except Refusal:
        return False
    return True


def told_versions(interpreter: Path) -> dict[str, str]:
    found = environments.versions(interpreter)
    return {name: found[name] for name in TOLD if name in found}


def variables(home: Path) -> dict[str, str]:
    """The user's environment, less what names a server of theirs; `home` becomes finefold's PREFECT_HOME."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MLFLOW_"))}
    quiet = {"PYTHONWARNINGS": "ignore", "RAY_USAGE_STATS_ENABLED": "0"}
    own = {"RAY_ADDRESS": "local"}  # not one that runs here already
    return kept | quiet | own | {"PYTHONPATH": str(ROOT), "FINEFOLD_BENCHMARK_PREFECT": str(home)}
