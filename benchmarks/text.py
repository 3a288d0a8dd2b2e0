"""`python -m benchmarks.text tables=DIR [rows=1000] [seeds=1] [only=lora,full,heads]`: the strategies of
`model=text_encoder` on SST-2 (`sst2_train.tsv`, `sst2_test.tsv` in DIR) with their start values: accuracy on the
published test sentences, seconds and peak memory, each in a process of its own, which has one core's worth of
threads.

Seconds are those of the encoder's pass over the training sentences, which is kept for all that follows, and of a fit on
all of them. Processor seconds say what it costs where other processes want the cores too. `heads` are 50 heads with
penalties of the search's own range, each on five folds, beside that pass.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedKFold

from benchmarks import arguments, place, report, watch
from flows.build import build
from flows.config import compose
from tasks.loss.cross_entropy import CrossEntropy
from tasks.model import Model, Training
from tasks.model._going_on import Knobs
from tasks.records import Problem

WAYS = ("from_scratch", "feature_extraction", "last_layers", "gradual", "lora", "full")
HEADS, N_HEADS, N_FOLDS = "heads", 50, 5
HEADINGS = ("strategy", "seed", "accuracy", "pass, s", "pass, processor s", "fit, s", "fit, processor s", "peak, MB",
            "trained parameters")  # fmt: skip
LIMIT = 3600.0


def main() -> None:
    arguments.check(("tables", "rows", "seeds", "only", "one", "seed", "answer"))
    tables, n_rows = Path(arguments.text("tables", "")).resolve(), report.argument("rows", 1000)
    if one := arguments.text("one", ""):
        answer = measured(one, tables, n_rows, report.argument("seed", 0))
        Path(arguments.text("answer", "")).write_text(json.dumps(answer))
        return
    ways, seeds = arguments.names("only", [*WAYS, HEADS]), range(report.argument("seeds", 1))
    rows = [line(way, seed, tables, n_rows) for seed in seeds for way in ways]
    print(report.table(HEADINGS, rows))
    print(f"\n{n_rows} training sentences. {report.machine(1)}")


def line(way: str, seed: int, tables: Path, n_rows: int) -> list[str]:
    """What a process of its own answers, and its peak memory."""
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        command = [sys.executable, "-m", "benchmarks.text", f"one={way}", f"tables={tables}", f"rows={n_rows}",
                   f"seed={seed}", f"answer={answer}"]  # fmt: skip
        environment = {**os.environ, "PYTHONPATH": str(place.ROOT)}
        went = watch.run(command, Path(folder), environment, Path(folder) / "log", LIMIT)
        if went.status:
            return [way, str(seed), "failed", (Path(folder) / "log").read_text()[-200:], *[""] * (len(HEADINGS) - 4)]
        found = json.loads(answer.read_text())
    name = f"{N_HEADS} heads on {N_FOLDS} folds" if way == HEADS else way
    return [name, str(seed), f"{found['accuracy']:.3f}", f"{found['pass']:.1f}", f"{found['pass_processor']:.1f}",
            f"{found['fit']:.1f}", f"{found['processor']:.1f}", f"{went.peak_bytes / 1e6:,.0f}",
            f"{found['trained']:,}"]  # fmt: skip


def measured(way: str, tables: Path, n_rows: int, seed: int) -> dict[str, Any]:
    train = read(tables / "sst2_train.tsv").sample(n_rows, random_state=seed).reset_index(drop=True)
    test = read(tables / "sst2_test.tsv")
    y = train["label"].to_numpy(dtype=np.float64)
    folds = list(StratifiedKFold(N_FOLDS, shuffle=True, random_state=seed).split(train, y))
    data = Training(train[["text"]], y, None, folds, Problem("binary", "label", (0, 1)), CrossEntropy(), "accuracy",
                    text=("text",))  # fmt: skip
    family, given = going_on("feature_extraction" if way == HEADS else way)
    begun, started = time.perf_counter(), time.process_time()
    workspace = family.workspace(data, None, 1)
    passed, worked = time.perf_counter(), time.process_time()
    if way == HEADS:
        for penalty in np.geomspace(family.space["penalty"]["low"], family.space["penalty"]["high"], N_HEADS):
            for fold in range(N_FOLDS):
                family.validate(workspace, fold, {**given, "penalty": float(penalty)}, seed)
    fitted: Any = family.fit(workspace, given, given.get("epochs"), seed)
    ended, stopped = time.perf_counter(), time.process_time()
    hits = fitted.predict(test[["text"]]).argmax(axis=1) == test["label"].astype(int).to_numpy()
    return {"accuracy": float(hits.mean()), "pass": passed - begun, "pass_processor": worked - started,
            "fit": ended - passed, "processor": stopped - worked,
            "trained": fitted.n_parameters - getattr(fitted, "n_frozen", 0)}  # fmt: skip


def going_on(way: str) -> tuple[Model, dict[str, Any]]:
    """The family in that way, and its start."""
    config = compose(["model=text_encoder", f"strategy={way}"]).config
    family: Any = build(config.model["text_encoder"], "model.text_encoder")
    strategy: Any = build(config.strategy, "strategy")
    on: Any = family.going_on(way, Knobs(strategy.hyperparameters, strategy.start, strategy.space, strategy.grid))
    return on, {**{key: value for key, value in on.hyperparameters.items() if value is not None}, **on.start}


def read(path: Path) -> pd.DataFrame:
    """Sentences and labels; a sentence may hold anything but a tab."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return pd.DataFrame([line.rsplit("\t", 1) for line in lines], columns=["text", "label"])


if __name__ == "__main__":
    main()
