"""Whether an exported model predicts what the model itself does: in a fresh process, on rows of the holdout and on
rows that are hard to get right."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow.parquet as pq

from tasks import parquet
from tasks.cells import as_text
from tasks.format import Format, Limits, Made, Variant, _rows
from tasks.format import _process as process
from tasks.predictor import Predictor
from tasks.records import Parity
from tasks.schema import Column, Schema

Floats = npt.NDArray[np.float64]
N_SINGLE = 32  # rows that are predicted alone too
N_THRESHOLDS = 12  # of a column that hard rows lie at
MOST_HARD = 3_000  # of a table of very many columns, taken evenly
UNSEEN = "never seen before"
LONG = "word " * 2_000


@dataclass(frozen=True)
class Rows:
    """Raw rows (n,), the hard ones first; names: (n_hard,) what is hard about each. n_holdout: rows of the whole
    holdout."""

    raw: pd.DataFrame
    names: tuple[str, ...]
    n_holdout: int


@dataclass(frozen=True)
class Expected:
    """What the model predicts: (n,) or (n, n_classes), the labels or None, how much each row's best class is ahead of
    the next, and rows per second."""

    values: Floats
    labels: npt.NDArray[Any] | None
    lead: Floats | None
    rows_per_second: float


def rows_of(holdout: Path, schema: Schema, thresholds: Mapping[str, Sequence[float]], most: int) -> Rows:
    """holdout: Parquet of its typed features. most: rows of it, taken evenly."""
    n_holdout = pq.read_metadata(holdout).num_rows
    typed = parquet.take(holdout, np.linspace(0, n_holdout - 1, min(most, n_holdout)).astype(np.int64))
    raw = pd.DataFrame({column.name: _raw(column, typed) for column in schema.columns})
    names, hard = _hard(raw, schema, thresholds)
    return Rows(pd.concat([hard, raw], ignore_index=True), names, n_holdout)


def expected(folder: Path, raw: pd.DataFrame) -> Expected:
    """Of the model in the folder, by batches as large as an export is asked for."""
    predictor = Predictor.load(folder)
    predictor.predict(raw.head(_rows.BATCH))
    begun = time.perf_counter()
    found = pd.concat([predictor.predict(raw.iloc[i : i + _rows.BATCH]) for i in range(0, len(raw), _rows.BATCH)])
    rows_per_second = len(raw) / (time.perf_counter() - begun)
    if not predictor.problem.is_classification:
        return Expected(found["prediction"].to_numpy(dtype=np.float64), None, None, rows_per_second)
    columns = [f"probability_{label}" for label in predictor.problem.classes]
    values = found[columns].to_numpy(dtype=np.float64)
    return Expected(values, found["prediction"].to_numpy(), _lead(folder, values), rows_per_second)


def compare(
    form: Format, variant: Variant, made: Made, rows: Rows, truth: Expected, inputs: _rows.Arrays, seconds: float
) -> Parity:
    """inputs: the rows as the export takes them. seconds: that writing it took.

    Raises:
        Refusal: where the export doesn't run.
    """
    named = {one["holds"]: one["name"] for one in made.schema["outputs"]}
    answers = _answers(form, variant, inputs)
    name = named["prediction" if truth.labels is None else "probabilities"]
    # Hard rows are far from all that the model has seen, and so is what it predicts for them.
    unit = 1.0 if truth.labels is not None else _spread(truth.values[len(rows.names) :])
    batch, single = _far(answers[f"batch_{name}"], truth.values, unit), np.zeros(0)
    if f"single_{name}" in answers:
        single = _far(answers[f"single_{name}"], truth.values[:N_SINGLE], unit)
    flips, ties = (0, 0)
    if truth.labels is not None:
        flips, ties = _flips(answers[f"batch_{named['label']}"], truth, variant.limits)
    n_hard = len(rows.names)
    worst = int(np.argmax(batch)) if batch.max(initial=0) >= single.max(initial=0) else int(np.argmax(single))
    largest = float(max(batch.max(initial=0), single.max(initial=0)))
    share = flips / len(batch)
    return Parity(
        name=variant.name, n_rows=len(batch) - n_hard, n_holdout=rows.n_holdout, n_hard=n_hard, n_single=len(single),
        largest=largest, of_999=float(np.quantile(batch, 0.999)), flips=flips, ties=ties,
        worst=rows.names[worst] if worst < n_hard else "a row of the holdout",
        most_difference=variant.limits.difference, most_flips=variant.limits.flips,
        is_within=largest <= variant.limits.difference and share <= variant.limits.flips,
        megabytes=_bytes(variant.path) / 1e6, seconds=seconds,
        rows_per_second=len(batch) / float(answers["seconds"]), model_rows_per_second=truth.rows_per_second,
    )  # fmt: skip


def fed(raw: pd.DataFrame, schema: Schema, told: Mapping[str, Any], place: Path) -> dict[str, npt.NDArray[Any]]:
    """The rows as an export takes them. told: its schema; place: its folder, where a tokenizer may be."""
    given = {one.name: _given(one, raw[one.name]) for one in schema.columns if one.name not in schema.text}
    return given | _tokens(raw, told, place)


def cells(raw: pd.DataFrame, schema: Schema) -> dict[str, npt.NDArray[Any]]:
    """Each column as an export takes it, prose as text."""
    return {column.name: _given(column, raw[column.name]) for column in schema.columns}


def _tokens(raw: pd.DataFrame, told: Mapping[str, Any], place: Path) -> dict[str, npt.NDArray[Any]]:
    """Ids and mask (n, L) of every column of prose."""
    inputs = [one for one in told["inputs"] if "tokenizer" in one]
    if not inputs:
        return {}
    from tokenizers import Tokenizer

    from tasks.model._tokens import Tokens

    found: dict[str, npt.NDArray[Any]] = {}
    for ids, mask in zip(inputs[::2], inputs[1::2], strict=True):
        tokenizer = Tokenizer.from_file(str(place / ids["tokenizer"]))
        texts = as_text(raw[ids["column"]]).fillna("")
        padded = Tokens.of(tokenizer, texts.tolist(), ids["max_len"]).padded(np.arange(len(texts)), 0)
        found |= {ids["name"]: padded[0].numpy(), mask["name"]: padded[1].numpy()}
    return found


def _given(column: Column, values: pd.Series[Any]) -> npt.NDArray[Any]:
    if column.kind in ("categorical", "text"):
        return values.fillna("").to_numpy(dtype=object).astype(str)
    if column.kind == "time":
        since = (values - pd.Timestamp("1970-01-01")) / pd.Timedelta(seconds=1)
        return np.asarray(since.to_numpy(dtype=np.float64))
    return values.to_numpy(dtype=np.float64)


def _raw(column: Column, typed: pd.DataFrame) -> pd.Series[Any]:
    """A column as a caller of the model has it, from its features."""
    if column.kind in ("categorical", "text"):
        return typed[column.name].astype(object)
    if column.kind != "time":
        return typed[column.name].astype(np.float64)
    part = {name: typed[feature] for name, feature in zip(column.parts, column.features(), strict=True)}
    is_missing = typed[column.features()[0]].isna()
    if "days" in part:
        seconds = (part["days"] * 86_400).round(3)
        times = pd.Timestamp("1970-01-01") + pd.to_timedelta(seconds.where(~is_missing, 0.0), unit="s")
    else:  # of the parts that vary; what doesn't may be anything
        usual = {"year": 2000, "month": 1, "day": 1, "hour": 0, "minute": 0}
        known = {name: part[name] if name in part else pd.Series(value, typed.index) for name, value in usual.items()}
        times = pd.to_datetime(pd.DataFrame({k: v.where(~is_missing, usual[k]) for k, v in known.items()}))
    return times.where(~is_missing)


def _hard(
    raw: pd.DataFrame, schema: Schema, thresholds: Mapping[str, Sequence[float]]
) -> tuple[tuple[str, ...], pd.DataFrame]:
    """Rows of the holdout with one cell changed each, by the names of what was changed."""
    changes: list[tuple[str, str, Any]] = []
    for column in schema.columns:
        missing = pd.NaT if column.kind == "time" else np.nan if column.kind in ("numeric", "boolean") else None
        changes.append((f"{column.name} missing", column.name, missing))
        if column.kind == "categorical":
            changes += [(f"{column.name} unseen", column.name, UNSEEN), (f"{column.name} ''", column.name, "")]
        elif column.kind == "text":
            changes += [(f"{column.name} {told}", column.name, text)
                        for told, text in (("''", ""), ("of one letter", "a"), ("of 2,000 words", LONG))]  # fmt: skip
        elif column.kind == "numeric":
            values = _edges(raw[column.name], thresholds.get(column.name, ()))
            changes += [(f"{column.name} = {value!r}", column.name, value) for value in values]
    changes = [changes[i] for i in np.linspace(0, len(changes) - 1, min(MOST_HARD, len(changes))).astype(int)]
    hard = raw.iloc[np.arange(len(changes) + 1) % len(raw)].reset_index(drop=True)
    for row, (_, name, value) in enumerate(changes):
        hard.loc[row, name] = value
    for column in schema.columns:
        hard.loc[len(changes), column.name] = pd.NaT if column.kind == "time" else None
    return (*(name for name, _, _ in changes), "everything missing"), hard.astype(raw.dtypes.to_dict())


def _edges(values: pd.Series[float], thresholds: Sequence[float]) -> list[float]:
    """Infinities, numbers far outside, and numbers at thresholds and next to them in float64; without thresholds those
    next to numbers of the column."""
    known = np.asarray(thresholds, dtype=np.float64) if len(thresholds) else values.dropna().unique()
    some = known[np.linspace(0, len(known) - 1, min(N_THRESHOLDS, len(known))).astype(int)]
    near = [np.nextafter(some, -np.inf), some, np.nextafter(some, np.inf), some.astype(np.float32).astype(np.float64)]
    return [np.inf, -np.inf, 0.0, -0.0, 1e-36, 1e12, -1e12, *np.unique(np.concatenate(near)).tolist()]


def _lead(folder: Path, values: Floats) -> Floats:
    """(n,) by how much the label's class is ahead: in probability, or in expected cost, of the largest one, where costs
    decide."""
    decision = folder / "decision.json"
    if decision.exists():
        costs = np.array(json.loads(decision.read_text())["costs"], dtype=np.float64)
        values = -values @ (costs / (np.abs(costs).max() or 1.0))
    two = np.sort(values, axis=1)[:, -2:]
    return np.asarray(two[:, 1] - two[:, 0])


def _flips(labels: npt.NDArray[Any], truth: Expected, limits: Limits) -> tuple[int, int]:
    """Rows with another label, and among those that were a tie."""
    assert truth.labels is not None
    assert truth.lead is not None
    other = np.array([str(one) for one in labels.tolist()]) != np.array([str(one) for one in truth.labels.tolist()])
    is_tie = truth.lead <= limits.difference
    return int((other & ~is_tie).sum()), int((other & is_tie).sum())


def _far(found: Floats, wanted: Floats, unit: float) -> Floats:
    """(n,) the largest difference of each row; what is no number on one side alone is infinitely far."""
    apart = np.abs(found - wanted) / unit
    apart = np.where(np.isnan(found) & np.isnan(wanted), 0.0, np.nan_to_num(apart, nan=np.inf))
    return np.asarray(apart.reshape(len(wanted), -1).max(axis=1, initial=0.0))


def _spread(values: Floats) -> float:
    spread = float(np.nanstd(values))
    return spread or max(1.0, float(np.nanmax(np.abs(values), initial=0.0)))


def _answers(form: Format, variant: Variant, inputs: _rows.Arrays) -> dict[str, npt.NDArray[Any]]:
    with tempfile.TemporaryDirectory(prefix="finefold-parity-") as beside:
        rows, answers = Path(beside) / "rows.npz", Path(beside) / "answers.npz"
        _rows.write(rows, inputs, min(N_SINGLE, len(next(iter(inputs.values())))))
        process.run(form.run(variant, rows, answers), f"export.formats=[{variant.name}]")
        with np.load(answers) as kept:
            return {name: kept[name] for name in kept}


def _bytes(path: Path) -> int:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)
