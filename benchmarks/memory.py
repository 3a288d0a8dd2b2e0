"""`python -m benchmarks.memory`: the most memory that `finefold run` takes, as a multiple of its table in float32."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks import place, report

HEADINGS = (
    "rows", "columns", "table in float32, MB", "imports alone, MB", "peak, MB", "peak / table",
    "until the first trial, s", "search, s", "total, s",
)  # fmt: skip
LIMIT = 3  # times the table
MB = 1e6
ROWS_AT_ONCE = 100_000
SEARCH = ("search.trials=3", "model.lightgbm.rounds=100")


def main() -> None:
    n_rows, n_columns = report.argument("rows", 5_000_000), report.argument("columns", 30)
    given = [text for text in sys.argv[1:] if text.partition("=")[0] not in {"rows", "columns"}]
    with place.temporary() as root:
        path = table(root, n_rows, n_columns)
        where = place.fresh(root, "run")
        overrides = ["source=file", f"source.path={path}", "source.target=y", *SEARCH, *given]
        imports = peak_of(subprocess.Popen([sys.executable, "-c", "import flows.pipeline, mlflow"], cwd=place.ROOT))
        process = where.begin(overrides)
        try:
            peak = peak_of(process)
            result = where.finish(process)
        finally:
            where.stop_server()
    print(report.table(HEADINGS, [row(n_rows, n_columns, imports, peak, result)]))
    print(f"\nOverrides: {' '.join(overrides[3:])}. {report.machine(1)}")


def row(n_rows: int, n_columns: int, imports: int, peak: int, result: dict[str, Any]) -> list[str]:
    size = 4 * n_rows * n_columns
    held = "held" if peak <= LIMIT * size else "MISSED"
    seconds = result["seconds"]
    return [
        f"{n_rows:,}",
        str(n_columns),
        *(f"{n_bytes / MB:,.0f}" for n_bytes in (size, imports, peak)),
        f"{peak / size:.2f} ({LIMIT} at most, {held})",
        *(f"{seconds[name]:.0f}" for name in ("start_up", "search", "total")),
    ]


def table(root: Path, n_rows: int, n_columns: int) -> Path:
    """A made table of two classes, the same each time: y follows from eight columns and noise. Written in parts."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(0)
    effects = rng.normal(size=min(8, n_columns))
    names = [f"x{k}" for k in range(n_columns)]
    schema = pa.schema([*((name, pa.float32()) for name in names), ("y", pa.int8())])
    with pq.ParquetWriter(root / "table.parquet", schema, use_dictionary=False) as writer:
        for start in range(0, n_rows, ROWS_AT_ONCE):
            X = rng.normal(size=(n_columns, min(ROWS_AT_ONCE, n_rows - start))).astype(np.float32)
            y = effects @ X[: len(effects)] + rng.normal(size=X.shape[1]) > 0
            writer.write_batch(pa.record_batch([*X, y.astype(np.int8)], schema=schema))
    return root / "table.parquet"


def peak_of(process: subprocess.Popen[Any]) -> int:
    """Bytes: the most that this one process held in memory until it ended, as Linux counts it (VmHWM); the server is a
    process of its own."""
    peak = 0
    while process.poll() is None:
        peak = max(peak, high_water(process.pid))
        time.sleep(0.05)
    return peak


def high_water(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)


if __name__ == "__main__":
    main()
