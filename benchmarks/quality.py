"""`python -m benchmarks.quality`: the holdout's score after a fixed time on two cores, beside what users would pick
instead. Every result goes to a file at once, and what is there is not run again; `... report` reads it."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks import arguments, entrants, ranking, tables, watch
from benchmarks.entrants import ENTRANTS
from benchmarks.tables import Divided
from tasks.metric import value

CACHE = Path("~/.cache/finefold-benchmarks").expanduser()
N_JOBS = 2
KNOWN = ("seconds", "seeds", "tables", "peers", "only", "envs", "results")


def main() -> None:
    arguments.check(KNOWN, ("report",))
    results = Path(arguments.text("results", str(CACHE / "quality.jsonl"))).expanduser().resolve()
    if "report" in sys.argv[1:]:
        print(ranking.report(read(results), results.parent))
        return
    if hasattr(os, "sched_setaffinity"):  # everybody gets the same two cores, on a larger machine too
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:N_JOBS])
    published = arguments.text("tables", "")
    names = arguments.names("only", tables.NAMES if published else tuple(tables.WITHOUT_FILES))
    envs = Path(arguments.text("envs", str(CACHE / "envs"))).expanduser().resolve()
    interpreters = made(arguments.names("peers", tuple(ENTRANTS)), envs)
    divided = [tables.divided(name, Path(published).resolve(), results.parent / "tables") for name in names]
    (seconds,) = arguments.numbers("seconds", [60])
    (n_seeds,) = arguments.numbers("seeds", [3])
    for seed in range(n_seeds):
        for table in divided:
            for peer, (interpreter, versions) in interpreters.items():
                asked = key(table, peer, seed, seconds)
                if not any(row.items() >= asked.items() for row in read(results)):
                    add(results, asked | {"versions": versions} | compete(table, peer, interpreter, asked, results))


def made(names: list[str], envs: Path) -> dict[str, tuple[Path, dict[str, str]]]:
    """The interpreter of each entrant and the releases in it; one that can't be had is said and left out."""
    envs.mkdir(parents=True, exist_ok=True)
    found = {}
    for name in names:
        try:
            if not entrants.can_run(name):
                raise RuntimeError(f"`finefold run` knows no {' '.join(ENTRANTS[name].options['overrides'])}")
            interpreter = ENTRANTS[name].interpreter(envs)
            found[name] = (interpreter, entrants.told_versions(interpreter))
        except RuntimeError as error:
            print(f"without {name}: {error}", file=sys.stderr, flush=True)
    return found


def key(table: Divided, peer: str, seed: int, seconds: int) -> dict[str, Any]:
    """What a result is a result of."""
    code = ENTRANTS[peer].code()
    return {"table": table.name, "data": table.digest, "peer": peer, "code": code, "seed": seed, "seconds": seconds}


def compete(table: Divided, peer: str, interpreter: Path, asked: dict[str, Any], results: Path) -> dict[str, Any]:
    """One run of one entrant in a folder of its own; killed when it takes three times its budget and a minute more."""
    print(f"seed {asked['seed']}, {table.name}, {peer} ...", end=" ", file=sys.stderr, flush=True)
    began = time.strftime("%Y-%m-%dT%H:%M:%S")
    with tempfile.TemporaryDirectory(prefix="finefold-quality-", ignore_cleanup_errors=True) as scratch:
        folder = Path(scratch)
        answer = folder / "answer.parquet"
        job = {
            "train": f"{table.folder}/train.parquet", "test": f"{table.folder}/test.parquet", "target": table.target,
            "time": table.time, "problem": table.problem, "metric": table.metric, "classes": table.classes,
            "seconds": asked["seconds"], "seed": asked["seed"], "n_jobs": N_JOBS, "answer": str(answer),
            "options": dict(ENTRANTS[peer].options),
        }  # fmt: skip
        (folder / "job.json").write_text(json.dumps(job))
        command = [str(interpreter), "-m", f"benchmarks.peers.{ENTRANTS[peer].module}", str(folder / "job.json")]
        environment = entrants.variables(results.parent / "prefect")
        watched = watch.run(command, folder, environment, folder / "said.txt", 3 * asked["seconds"] + 60)
        row = {"began": began, "watched": asdict(watched), "state": state(watched)}
        if row["state"] == "finished":
            name = "-".join(map(str, asked.values()))
            row |= judged(table, answer, results.parent / "predictions" / f"{name}.parquet")
        else:
            row["said"] = (folder / "said.txt").read_text()[-2000:]
    print(f"{row['state']} after {watched.seconds:.0f} s: {row.get('score', '')}", file=sys.stderr, flush=True)
    return row


def state(watched: watch.Watched) -> str:
    return "killed" if watched.was_killed else "failed" if watched.status else "finished"


def judged(table: Divided, answer: Path, keep: Path) -> dict[str, Any]:
    """The score, by finefold's own metric for everybody; the predictions are kept in `keep`."""
    prediction = pd.read_parquet(answer)
    keep.parent.mkdir(parents=True, exist_ok=True)
    prediction.to_parquet(keep, index=False)
    score = value(table.metric, table.y_test(), ranking.as_prediction(prediction))
    said = json.loads(answer.with_suffix(".json").read_text())
    return {"metric": table.metric, "score": score, "predictions": f"{keep.parent.name}/{keep.name}", **said}


def read(results: Path) -> list[dict[str, Any]]:
    """The rows; a last one that a kill has torn counts not."""
    if not results.exists():
        return []
    whole, _, _ = results.read_text().rpartition("\n")
    return [json.loads(line) for line in whole.splitlines()]


def add(results: Path, row: dict[str, Any]) -> None:
    results.parent.mkdir(parents=True, exist_ok=True)
    with results.open("a") as out:
        out.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
