"""`python -m benchmarks.optimizers [tables=DIR] [only=telco]`: the optimizers of conf/optimizer on a quadratic beside
the closed form of their way, and on a real table by `finefold compare`.

f(p) = sum of c p^2 / 2, whose gradient is c p, from p = 1 on, without weight decay. A plain step multiplies p by
1 - r c; one with momentum multiplies (p, v) by a matrix, v being the running sum of gradients. The other methods' steps
depend on the gradients' squares and have no closed form: what they reach stands in the table alone, and their steps are
tested against their papers' (tests/tasks/optimizer).
"""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import arguments, place, report, tables
from flows.build import build
from flows.config import CONF, compose
from tasks.metric import Floats

CURVATURE, RATE, STEPS = np.array([0.1, 1.0, 10.0]), 0.05, 100
PLAIN = ("gradient_descent", "sgd", "mini_batch")
NAMES = sorted(path.stem for path in (CONF / "optimizer").glob("*.yaml") if path.stem != "auto")
ON_A_TABLE = ("optimizer", "over the folds", "95 % interval", "less the best's", "holdout", "fold fits", "seconds")


def main() -> None:
    arguments.check(("tables", "only"))
    headings = ("optimizer", f"cost after {STEPS} steps", "closed form", "relative difference")
    print(report.table(headings, [on_the_quadratic(name) for name in NAMES]))
    if folder := arguments.text("tables", ""):
        for name in arguments.names("only", ["telco", "housing"]):
            print(f"\n{name}\n\n{report.table(ON_A_TABLE, on_a_table(name, Path(folder).resolve()))}")
    print(f"\ntorch {version('torch')}, {report.machine(1)}")


def on_the_quadratic(name: str) -> list[str]:
    reached, closed = cost(descended(name)), closed_form(name)
    if closed is None:
        return [name, f"{reached:.6g}", "none", ""]
    return [name, f"{reached:.6g}", f"{cost(closed):.6g}", f"{abs(reached / cost(closed) - 1):.1g}"]


def cost(p: Floats) -> float:
    return float(CURVATURE @ p**2 / 2)


def descended(name: str) -> Floats:
    it = build(compose(["model=mlp", f"optimizer={name}"]).config.optimizer, "optimizer")
    p, curvature = torch.ones(3, dtype=torch.float64), torch.tensor(CURVATURE)
    p.grad = torch.zeros_like(p)
    method = it.make(p, RATE, 0.0)
    for _ in range(STEPS):
        p.grad.copy_(curvature * p)
        method.step()
    return p.numpy()


def closed_form(name: str) -> Floats | None:
    if name in PLAIN:
        return np.asarray((1 - RATE * CURVATURE) ** STEPS)
    if name != "momentum":
        return None
    mu = compose(["model=mlp", "optimizer=momentum"]).config.optimizer["momentum"]
    ways = [np.array([[1 - RATE * c, -RATE * mu], [c, mu]]) for c in CURVATURE]
    return np.array([(np.linalg.matrix_power(way, STEPS) @ [1.0, 0.0])[0] for way in ways])


def on_a_table(name: str, folder: Path) -> list[list[str]]:
    with place.temporary() as root:
        divided = tables.divided(name, folder, root / "tables")
        where = place.fresh(root, name)
        command = [
            sys.executable, "-m", "flows.cli", "compare", "output=json", "model=mlp", "search=none",
            f"optimizer={','.join(NAMES)}", "source=file", f"source.path={divided.folder}/train.parquet",
            f"source.target={divided.target}", f"holdout.path={divided.folder}/test.parquet",
            f"problem={divided.problem}", f"metric={divided.metric}",
        ]  # fmt: skip
        where.folder.mkdir(parents=True, exist_ok=True)
        ended = subprocess.run(
            command, cwd=where.folder, env=where.environment(), check=True, stdout=subprocess.PIPE, text=True
        )
    made = json.loads(ended.stdout.splitlines()[-1])
    return [cells(one) for one in made["choices"]]


def cells(one: dict[str, Any]) -> list[str]:
    cv, less = one["cv"], one["difference"]
    return [
        one["choice"].partition("=")[2], f"{cv['value']:.5g}", f"{cv['low']:.5g} to {cv['high']:.5g}",
        "best" if less is None else f"{less['value']:.2g} ({less['low']:.2g} to {less['high']:.2g})",
        f"{one['holdout']['value']:.5g}", str(one["fold_fits"]), f"{one['seconds']:.0f}",
    ]  # fmt: skip


if __name__ == "__main__":
    main()
