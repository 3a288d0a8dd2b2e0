"""Virtual environments for peers, each of its own, made once from public packages."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path

# In steps, each one call of pip. torch comes before what needs it: its exact release may be there as a build without
# CUDA (some 0.7 GB instead of 4), which later steps then leave alone.
REQUIREMENTS: dict[str, tuple[tuple[str, ...], ...]] = {
    "flaml": (("flaml[automl]==2.7.0", "pyarrow"),),
    "optuna": (("optuna==5.0.0", "optuna-integration[lightgbm]==5.0.0", "lightgbm==4.7.0", "pandas", "pyarrow"),),
    "sklearn": (("scikit-learn==1.9.1", "lightgbm==4.7.0", "pandas", "pyarrow"),),
    "sklearn_genetic": (("sklearn-genetic-opt==0.12.0", "lightgbm==4.7.0", "pandas", "pyarrow"),),
    "autogluon": (
        ("torch==2.13.0",),
        ("autogluon.tabular[lightgbm,catboost,xgboost,fastai,ray]==1.6.3", "pyarrow", "torch==2.13.0"),
    ),
}
FREEZE = """
import json
from importlib.metadata import distributions
print(json.dumps({found.metadata["Name"].lower(): found.version for found in distributions()}))
"""


def python(name: str, root: Path) -> Path:
    """The interpreter of the environment, made where it is missing or was made from other requirements.

    Raises:
        RuntimeError: with what pip said last, when it can't be made.
    """
    folder = root / name
    interpreter, record = folder / "bin" / "python", folder / "made_from.json"
    wanted = json.dumps([sys.version, REQUIREMENTS[name]])
    if record.exists() and record.read_text() == wanted:
        return interpreter
    print(f"making {folder} ...", file=sys.stderr, flush=True)
    venv.create(folder, clear=True, with_pip=True)
    with (root / f"{name}.pip.log").open("w") as log:
        for step in REQUIREMENTS[name]:
            _install(interpreter, step, log.name)
    record.write_text(wanted)
    return interpreter


def versions(interpreter: Path) -> dict[str, str]:
    """The release of every distribution in the environment, by its name in lower case."""
    said = subprocess.run([interpreter, "-c", FREEZE], check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, str] = json.loads(said.stdout)
    return found


def _install(interpreter: Path, step: tuple[str, ...], log: str) -> None:
    command = [str(interpreter), "-m", "pip", "install", "--prefer-binary", *step]
    with Path(log).open("a") as out:
        ended = subprocess.run(command, stdout=out, stderr=subprocess.STDOUT)
    if ended.returncode:
        last = " ".join(Path(log).read_text().strip().splitlines()[-3:])
        raise RuntimeError(f"pip could not install {' '.join(step)}: {last} (all of it: {log})")
