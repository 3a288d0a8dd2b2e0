"""`python -m benchmarks.text_ladder tables=DIR [rows=1000] [trials=4] [samples=0,1,2]`: what `finefold finetune
model=text_encoder` chooses on SST-2 (`sst2_train.tsv`, `sst2_test.tsv` in DIR), with the default encoder as the base,
and what it costs beside `full` alone: one trial of it on all folds, and its final fit.

A sample is `rows` training sentences drawn with its number as the seed; the published test sentences are the holdout.
Seconds are of computing, by one worker, as the ladder counts them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import arguments, place, report
from benchmarks.ladder import reached
from benchmarks.place import Place
from benchmarks.text import read

HEADINGS = ("sample", "rungs: accuracy over their folds", "their seconds", "chosen", "on the test sentences",
            "all of it / full alone, seconds", "ratio")  # fmt: skip


def main() -> None:
    arguments.check(("tables", "rows", "trials", "samples"))
    tables = Path(arguments.text("tables", "")).resolve()
    with place.temporary() as root:
        shared = place.fresh(root, "server")
        with place.kept_server(shared):
            samples = arguments.numbers("samples", [0, 1, 2])
            places = [place.fresh(root, f"sample-{sample}", shared.home, shared.port) for sample in samples]
            rows = [climb(here, tables, sample) for here, sample in zip(places, samples, strict=True)]
    print(report.table(HEADINGS, rows))
    print(f"\n{report.argument('rows', 1000)} sentences. {report.machine(1)}")


def climb(here: Place, tables: Path, sample: int) -> list[str]:
    here.folder.mkdir()
    own = read(tables / "sst2_train.tsv").sample(report.argument("rows", 1000), random_state=sample)
    own.to_parquet(here.folder / "own.parquet", index=False)
    read(tables / "sst2_test.tsv").to_parquet(here.folder / "test.parquet", index=False)
    given = ["model=text_encoder", "metric=accuracy", "source=file", "source.path=own.parquet", "source.target=label",
             "source.text=[text]", "holdout.path=test.parquet", f"seed={sample}", "runner.workers=1"]  # fmt: skip
    made = here.run([*given, f"search.trials={report.argument('trials', 4)}"], "finetune")
    alone = here.run([*given, "search.trials=1", "strategy=ladder", "strategy.rungs=[full]"], "finetune")
    rungs, full = reached(made), reached(alone)["full"]["seconds"]
    total = sum(one["seconds"] for one in made["climb"]["rungs"])  # with those that were looked at on one fold alone
    scores = ", ".join(f"{name} {shown(one['score'])}" for name, one in rungs.items())
    seconds = ", ".join(f"{one['seconds']:.0f}" for one in rungs.values())
    return [str(sample), scores, seconds, made["climb"]["chosen"], shown(made["result"]["holdout"]["accuracy"]),
            f"{total:.0f} / {full:.0f}", f"{total / full:.2f}"]  # fmt: skip


def shown(score: Mapping[str, Any]) -> str:
    return f"{score['value']:.3f} ({score['low']:.3f} to {score['high']:.3f})"


if __name__ == "__main__":
    main()
