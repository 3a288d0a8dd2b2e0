"""`python -m benchmarks.score`: rows per second of `finefold score` beside `model.predict` on a frame in memory, and
the most memory that it takes, by rows. `rows=1000000,20000000 repeats=3 rounds=200`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks import place, report
from benchmarks.memory import MB, peak_of

HEADINGS = (
    "rows", "model.predict in memory, rows/s", "finefold score, rows/s", "ratio", "peak, MB", "whole command, s",
)  # fmt: skip
RATIO = 0.8  # at least
GROWTH = 1.05  # of the peak, at most, from the fewest to the most rows
N_TRAINED, N_COLUMNS, N_IN_MEMORY = 100_000, 30, 1_000_000
ROWS_AT_ONCE = 100_000
IN_MEMORY = """
import json, sys, time
import mlflow, pandas as pd, pyarrow.parquet as pq
mlflow.set_tracking_uri("sqlite:///mlruns/mlflow.db")
model = mlflow.pyfunc.load_model("models:/made@champion")
frame = pq.ParquetFile(sys.argv[1]).read().to_pandas().head(int(sys.argv[2]))
model.predict(frame.head(1_000))
begun = time.perf_counter()
model.predict(frame)
print(json.dumps(len(frame) / (time.perf_counter() - begun)))
"""


def main() -> None:
    sizes = sorted(int(n) for n in _argument("rows", "1000000,20000000").split(","))
    repeats, rounds = report.argument("repeats", 3), report.argument("rounds", 200)
    lines, peaks = [], []
    with place.temporary() as root:
        where = place.fresh(root, "score")
        try:
            trained = table(root / "trained.parquet", N_TRAINED)
            where.run(["source=file", f"source.path={trained}", "source.target=y", "source.key=[id]", "search=none",
                       f"model.lightgbm.rounds={rounds}", "model_name=made", "check=[]"])  # fmt: skip
            for n_rows in sizes:
                path = table(root / "scored.parquet", n_rows)
                measured = [one(where, path, min(n_rows, N_IN_MEMORY)) for _ in range(repeats)]
                lines.append(line(n_rows, measured))
                peaks.append(max(peak for _, _, peak, _ in measured))
        finally:
            where.stop_server()
    print(report.table(HEADINGS, lines))
    growth = peaks[-1] / peaks[0]
    print(f"\nThe peak grows {growth:.2f} times ({GROWTH} at most, {'held' if growth <= GROWTH else 'MISSED'}). "
          f"LightGBM of {rounds} rounds, {N_COLUMNS} columns. {report.machine(repeats)}")  # fmt: skip


def one(where: place.Place, path: Path, n_in_memory: int) -> tuple[float, float, int, float]:
    """Rows per second in memory and of a scoring without its start-up, bytes at the most, seconds of the command."""
    import time

    told = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", IN_MEMORY, str(path), str(n_in_memory)], cwd=where.folder,
        env=where.environment(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    begun = time.perf_counter()
    process = where.begin(["model_name=made", "source=file", f"source.path={path}", "predictions.path=out.parquet",
                           "predictions.if_exists=replace"], "score")  # fmt: skip
    peak = peak_of(process)
    made: dict[str, Any] = where.finish(process)
    assert made["rows"] == made["scored"], made
    return json.loads(told.stdout), made["rows"] / made["seconds"], peak, time.perf_counter() - begun


def line(n_rows: int, measured: list[tuple[float, float, int, float]]) -> list[str]:
    ratios = [scored / in_memory for in_memory, scored, _, _ in measured]
    held = "held" if sorted(ratios)[len(ratios) // 2] >= RATIO else "MISSED"
    return [
        f"{n_rows:,}",
        report.spread([in_memory for in_memory, *_ in measured], 0),
        report.spread([scored for _, scored, _, _ in measured], 0),
        f"{report.spread(ratios, 2)}, {RATIO} at least, {held}",
        report.spread([peak / MB for _, _, peak, _ in measured], 0),
        report.spread([seconds for *_, seconds in measured]),
    ]


def table(path: Path, n_rows: int) -> Path:
    """A made table of two classes with a key, the same each time, written in parts."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(0)
    effects = rng.normal(size=8)
    names = [f"x{k}" for k in range(N_COLUMNS)]
    schema = pa.schema([("id", pa.int64()), *((name, pa.float32()) for name in names), ("y", pa.int8())])
    with pq.ParquetWriter(path, schema, use_dictionary=False) as writer:
        for start in range(0, n_rows, ROWS_AT_ONCE):
            X = rng.normal(size=(N_COLUMNS, min(ROWS_AT_ONCE, n_rows - start))).astype(np.float32)
            y = effects @ X[:8] + rng.normal(size=X.shape[1]) > 0
            ids = np.arange(start, start + X.shape[1]) * 7
            writer.write_batch(pa.record_batch([ids, *X, y.astype(np.int8)], schema=schema))
    return path


def _argument(name: str, default: str) -> str:
    found = [text.partition("=")[2] for text in sys.argv[1:] if text.startswith(f"{name}=")]
    return found[-1] if found else default


if __name__ == "__main__":
    main()
