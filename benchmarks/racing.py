"""`python -m benchmarks.racing tables=DIR`: time that racing saves, and whether it keeps the winner.

Random search, whose proposals don't depend on scores: with racing and without it the same settings are tried.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks import arguments, place, report
from benchmarks.place import Place

ADULT = "age,work,fnlwgt,education,years,marital,occupation,relationship,race,sex,gain,loss,hours,country,income"
CASES = {
    "telco": ("telco.csv", "Churn", ("source.drop=[customerID]",)),
    "housing": ("housing.csv", "median_house_value", ()),
    "adult": ("adult_train.csv", "income", (f"source.columns=[{ADULT}]",)),
}
HEADINGS = (
    "table", "trials", "without racing, s", "with racing, s", "time saved", "folds run", "winner without, with",
    "same winner",
)  # fmt: skip


def main() -> None:
    folder, n_trials = Path(arguments.text("tables", "")), report.argument("trials", 100)
    arguments.check(("tables", "trials", "only"))
    only = arguments.names("only", list(CASES))
    rows = []
    with place.temporary() as root:
        shared = place.fresh(root, "server")
        with place.kept_server(shared):
            for name in only:
                rows.append(compare(root, name, folder, shared, n_trials))
    print(report.table(HEADINGS, rows))
    print(f"\nsearch=random, two workers. {report.machine(1)}")


def compare(root: Path, name: str, folder: Path, shared: Place, n_trials: int) -> list[str]:
    file, target, more = CASES[name]
    overrides = ["source=file", f"source.path={folder.resolve() / file}", f"source.target={target}", *more]
    budget = ["search=random", f"search.trials={n_trials}", "runner.workers=2"]
    results: list[dict[str, Any]] = []
    n_folds: list[int] = []
    for racing in ("null", "2.5"):
        where = place.fresh(root, f"{name}-{racing}", shared.home, shared.port)
        results.append(where.run([*overrides, *budget, f"search.racing={racing}"]))
        n_folds.append(len(list(where.folder.glob("data/studies/*/*/folds/*/*.npz"))))
    seconds = [result["seconds"]["search"] for result in results]
    winners = [result["best"]["number"] for result in results]
    is_same = json.dumps(results[0]["best"], sort_keys=True) == json.dumps(results[1]["best"], sort_keys=True)
    return [
        name,
        str(n_trials),
        *(f"{value:.0f}" for value in seconds),
        f"{1 - seconds[1] / seconds[0]:.0%}",
        f"{n_folds[1]} of {n_folds[0]}",
        f"{winners[0]}, {winners[1]}",
        "yes" if is_same else "NO",
    ]


if __name__ == "__main__":
    main()
