"""`python -m benchmarks.policies tables=DIR [seeds=3] [first=12] [policies=never,retrain,finetune,monitor]`: bike
rentals gone through month by month by `finefold replay experiment=bike_year`: what each policy scores and costs.

DIR holds `bike_hour.csv`. Seeds change what is drawn in searches and fits; months, folds and holdouts are by time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks import arguments, place, report
from benchmarks.strategies import spread

POLICIES = ("never", "retrain", "finetune", "monitor")
HEADINGS = ("policy", "RMSE, mean of the months", "less the first policy's", "searches", "fine-tunings", "promoted",
            "seconds")  # fmt: skip


def main() -> None:
    arguments.check(("tables", "seeds", "first", "policies"))
    table = Path(arguments.text("tables", "")).resolve() / "bike_hour.csv"
    n_seeds = report.argument("seeds", 3)
    policies = arguments.names("policies", list(POLICIES))
    with place.temporary() as root:
        where = place.fresh(root, "bike")
        given = ["experiment=bike_year", f"source.path={table}", f"replay.first={report.argument('first', 12)}",
                 f"replay.policies=[{','.join(policies)}]"]  # fmt: skip
        made = [where.run([*given, f"seed={seed}"], "replay") for seed in range(n_seeds)]
        where.stop_server()
    print(report.table(HEADINGS, [row(name, made) for name in policies]))
    first = ", ".join(f"{one['first_seconds']:.0f}" for one in made)
    print(f"\n{len(made[0]['periods'])} months; the first model took {first} s. {report.machine(n_seeds)}")


def row(policy: str, made: Sequence[Mapping[str, Any]]) -> list[str]:
    own = [next(one for one in replay["policies"] if one["policy"] == policy) for replay in made]
    less = [one["difference"]["value"] for one in own if one["difference"]]
    counts = (f"{fmean(one[key] for one in own):.1f}" for key in ("n_searches", "n_finetunes", "n_promoted"))
    return [policy, spread([one["score"] for one in own]), spread(less) if less else "", *counts,
            report.spread([one["seconds"] for one in own], 0)]  # fmt: skip


if __name__ == "__main__":
    main()
