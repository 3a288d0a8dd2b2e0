"""What the results of the quality benchmark are said to say."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import sem

from benchmarks import ranking, tables

N = 400


def table_of(folder: Path, y: np.ndarray) -> None:
    (folder / "tables" / "t").mkdir(parents=True)
    pd.DataFrame({"y": y}).to_parquet(folder / "tables" / "t" / "test.parquet")
    table = tables.Divided("t", str(folder / "tables" / "t"), "d", "y", None, "regression", "mae", (), 10, len(y))
    (folder / "tables" / "t" / "table.json").write_text(json.dumps(asdict(table)))


def row(folder: Path, peer: str, prediction: np.ndarray, score: float, **changed: Any) -> dict[str, Any]:
    pd.DataFrame({"p0": prediction}).to_parquet(folder / f"{peer}.parquet")
    watched = {"seconds": 61.0, "foreign_share": 0.01}
    return {
        "table": "t", "data": "d", "peer": peer, "code": "c", "seed": 0, "seconds": 60, "state": "finished",
        "metric": "mae", "score": score, "predictions": f"{peer}.parquet", "watched": watched, "fit_seconds": 60.0,
    } | changed  # fmt: skip


def test_the_error_of_a_difference_is_that_of_the_paired_rows(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    y, shared = generator.normal(size=N), generator.exponential(5.0, size=N)
    table_of(tmp_path, y)
    extra = generator.exponential(0.1, size=N)  # small beside what both have in common
    rows = [
        row(tmp_path, "finefold", y + shared, float(shared.mean())),
        row(tmp_path, "other", y + shared + extra, float((shared + extra).mean())),
    ]
    best, other = ranking.standings("t", rows, tmp_path)
    assert (best.peer, best.behind, best.error) == ("finefold", 0.0, 0.0)
    assert other.behind == pytest.approx(extra.mean())
    assert other.error == pytest.approx(sem(extra), rel=0.15)  # unpaired it would be some 50 times as much
    assert not other.is_within


def test_only_results_of_the_code_that_ran_last_are_reported(tmp_path: Path) -> None:
    rows = [{"peer": "a", "table": "t", "data": "d", "code": code, "seed": 0} for code in ("old", "new")]
    assert [found["code"] for found in ranking.newest(rows)] == ["new"]


def test_who_did_not_finish_is_last_and_is_named(tmp_path: Path) -> None:
    y = np.zeros(N)
    table_of(tmp_path, y)
    rows = [
        row(tmp_path, "finefold", y + 1.0, 1.0),
        row(tmp_path, "killed", y, 0.0, state="killed"),
    ]
    text = ranking.report(rows, tmp_path)
    assert "finefold is the best" in text
    assert "killed (seed 0) killed after 61 s" in text
