"""`python -m benchmarks.reproduce`: do ten recorded runs of different kinds come out again, each in a new process?"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks import place, report
from benchmarks.place import Place

HEADINGS = ("run", "trials told", "results compared", "equal", "what differs", "run, s", "again, s")
N_ROWS = 1_500


@dataclass(frozen=True)
class Kind:
    """A run by what is typed after `finefold`; before: a command that makes what it goes on from."""

    name: str
    command: tuple[str, ...]
    before: tuple[str, ...] = ()
    needs: str = "lightgbm"


def main() -> None:
    n_kinds, n_trials = report.argument("kinds", 10), report.argument("trials", 8)
    with place.temporary() as root:
        shared = place.fresh(root, "shared")
        kinds = [kind for kind in all_kinds(root, n_trials) if find_spec(kind.needs) is not None][:n_kinds]
        with place.kept_server(shared):
            rows = [once_more(shared, kind) for kind in kinds]
    n_equal = sum(row[3] == "yes" for row in rows)
    print(report.table(HEADINGS, rows))
    print(f"\n{n_equal} of {len(rows)} equal. {report.machine(1)}")
    sys.exit(n_equal < len(rows))


def all_kinds(root: Path, n_trials: int) -> list[Kind]:
    """Families, searches, problems, an ensemble, folds in time, groups and weights, a time budget, a base."""
    shop, late = root / "shop.csv", root / "shop_late.csv"
    rows = shop_rows(N_ROWS)
    rows.head(N_ROWS // 2).to_csv(shop, index=False)
    rows.tail(N_ROWS // 2).to_csv(late, index=False)
    trials, file = f"search.trials={n_trials}", ("source=file", f"source.path={shop}")
    sold = (*file, "source.target=sold", "source.drop=[bought]")
    bought = (*file, "source.target=bought", "source.drop=[sold]")
    grouped = (*file, "source.target=sold", "source.drop=[bought,day]", "source.group=shop", "source.weight=size")
    target = ("source=file", f"source.path={late}", *bought[2:])
    return [
        Kind("lightgbm, bayesian, binary", ("run", trials)),
        Kind("lightgbm, genetic, multiclass", ("run", trials, "source.name=wine", "search=genetic")),
        Kind("linear, random, regression", ("run", trials, "source.name=diabetes", "model=linear", "search=random")),
        Kind("forest, grid", ("run", "search.trials=12", "source.name=iris", "model=forest", "search=grid")),
        Kind("mlp, adam", ("run", "search.trials=3", "source.name=wine", "model=mlp", "optimizer=adam"), needs="torch"),
        Kind("two families, an ensemble", ("run", trials, "model=[lightgbm,linear]", "ensemble=greedy")),
        Kind("folds in time", ("run", trials, *sold, "source.time=day")),
        Kind("groups, weights, quantile", ("run", trials, *grouped, "loss=quantile")),
        Kind("ended by search.seconds", ("run", "search.trials=500", "search.seconds=8", "source.name=digits")),
        Kind("a base, full", ("run", trials, *target, "base=models:/broad@champion", "strategy=full"),
             ("pretrain", trials, *bought, "model_name=broad")),
    ]  # fmt: skip


def shop_rows(n: int) -> pd.DataFrame:
    """A table with a day, a shop, levels and missing values."""
    random = np.random.default_rng(0)
    shop, price = random.integers(0, 40, n), random.lognormal(size=n).round(3)
    kind = random.choice(["bread", "milk", "wine"], n)
    sold = 20 - 3 * price + shop / 4 + 5 * (kind == "wine") + random.normal(size=n)
    made = {"day": pd.date_range("2025-01-01", periods=n).date, "shop": shop, "price": price, "kind": kind,
            "size": random.uniform(1, 3, n).round(2), "sold": sold.round(3),
            "bought": np.where(sold + random.normal(size=n) > 19, "yes", "no")}  # fmt: skip
    table = pd.DataFrame(made)
    table.loc[random.uniform(size=n) < 0.1, "price"] = np.nan
    return table


def once_more(where: Place, kind: Kind) -> list[str]:
    """One row: a run, and its reproduction in another process."""
    if kind.before:
        finefold(where, kind.before, {0})
    first, seconds = finefold(where, kind.command, {0})
    made, again = finefold(where, ("reproduce", first["run_id"]), {0, 1})
    differs = ", ".join(one["what"] for one in made["differences"])
    said = "; ".join(filter(None, [differs, *made["notes"]])) or "nothing"
    equal = "yes" if made["is_equal"] else "NO"
    n_told = str(first["trials"]["finished"])
    row = [kind.name, n_told, str(made["checked"]), equal, said, f"{seconds:.1f}", f"{again:.1f}"]
    print(*row, sep="; ", file=sys.stderr, flush=True)
    return row


def finefold(where: Place, command: Sequence[str], statuses: set[int]) -> tuple[dict[str, Any], float]:
    """The JSON object that a command ends with, and its seconds.

    Raises:
        RuntimeError: with what it said, when it ended with another status.
    """
    where.folder.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    ended = subprocess.run(
        [sys.executable, "-m", "flows.cli", *command, "output=json"], cwd=where.folder, env=where.environment(),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if ended.returncode not in statuses:
        raise RuntimeError(f"finefold {' '.join(command)} ended with {ended.returncode}:\n{ended.stderr}")
    return json.loads(ended.stdout.strip().splitlines()[-1]), time.monotonic() - begun


if __name__ == "__main__":
    main()
