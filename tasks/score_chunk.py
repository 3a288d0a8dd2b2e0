"""What becomes of a chunk of rows: predictions with their keys, and the rows that don't fit with the reason."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from tasks import model as models
from tasks import scored, seen
from tasks.chunks import Chunk
from tasks.misfits import Misfits, misfits
from tasks.predictor import Predictor
from tasks.refusal import Refusal, did_you_mean
from tasks.schema import Schema
from tasks.score_job import Job, Record
from tasks.scored import Summary

ROWS, CELLS = 1 << 16, 1 << 22  # of a chunk at most; 32 MiB of float64
ROWS_OF_TEXT = 1 << 11  # of an encoder, which takes a second for some hundred
ROWS_TO_ANSWER = 1 << 7  # of a model that writes, which takes a second for some ten
KEY = "finefold_key"  # the hash of a row's key, for the monitor; no column of the output
KNOWN = "finefold_known"  # whether the model was trained on the row; the same
ROW = "row"  # of the output, where there is no key
REASON = ("rejected_row", "rejected_because")
MOST_NAMED = 10


@dataclass(frozen=True)
class Champion:
    """A registered version, which need not be the champion. reference: None for one that was registered without.
    keys: the columns that name a row; none: its number does. interval: the level, None where there is none. trained_on:
    the tables, as far as it tells."""

    name: str
    version: int
    predictor: Predictor
    reference: Summary | None
    keys: tuple[str, ...]
    interval: float | None
    notes: tuple[str, ...]
    trained_on: tuple[seen.Table, ...] = ()

    @property
    def schema(self) -> Schema:
        """Of the columns that rows must have."""
        return self.predictor.asked

    @property
    def chunk_rows(self) -> int:
        if self.predictor.problem.is_generation:
            return ROWS_TO_ANSWER
        is_slow = bool(self.schema.text) and "torch" in models.packages(self.predictor.fitted)
        return ROWS_OF_TEXT if is_slow else max(1, min(ROWS, CELLS // max(1, len(self.schema.columns))))

    @property
    def own(self) -> list[str]:
        """The columns of the output that are not the key's."""
        problem = self.predictor.problem
        bounds = ["lower", "upper"] if self.interval is not None else []
        probabilities = [f"probability_{label}" for label in problem.classes]
        return ["prediction", *probabilities, *bounds, "model_name", "model_version", "scored_at"]


def champion_in(folder: Path, name: str, version: int, keys: tuple[str, ...], interval: float | None) -> Champion:
    """The version whose files lie in the folder.

    keys: as they are asked for; without them those by which the model's own table told rows apart. interval: a level,
    which is used where the model can tell intervals of it.
    """
    predictor = Predictor.load(folder)
    notes = []
    if not keys and (known := _keys_of(folder)):
        keys = known
        notes.append(f"rows are named by {', '.join(keys)}, the key that the model was trained with")
    residuals = predictor.residuals
    if interval is not None and residuals is not None and not residuals.can(interval):
        notes.append(f"no intervals: the model has too few rows out of fold for predictions.interval={interval:g}")
    can = interval is not None and residuals is not None and residuals.can(interval)
    reference = scored.reference_in(folder, name, version)
    if reference is None:
        notes.append("the version keeps no summary of its training rows: drift can't be told of what it scores")
    level, tables = interval if can else None, tuple(seen.read(folder))
    return Champion(name, version, predictor, reference, keys, level, tuple(notes), tables)


def check_columns(chunk: Chunk, champion: Champion) -> list[str]:
    """What is to be said of a table's columns, by its first chunk.

    Raises:
        Refusal: for columns that are missing or that hold something else than the model knows; all of them at once.
    """
    schema, names = champion.schema, chunk.rows.schema.names
    faults = [
        f"source.key={key}: the table has no such column{did_you_mean(key, names)}"
        for key in champion.keys
        if key not in names
    ]
    faults += [
        f"source.key={key}: the predictions have a column of that name; rename it."
        for key in champion.keys
        if key in (*champion.own, KEY)
    ]
    try:
        schema.check(names)
    except Refusal as refusal:
        faults += refusal.faults
    if not faults:
        raw = _frame(chunk, champion)
        typed = schema.apply(raw)
        wrong = [*misfits(raw, typed, schema).whole, *_strange_levels(raw, typed, champion)]
        faults = [f"the table doesn't fit {champion.name} version {champion.version}: {one}" for one in wrong]
    if faults:
        raise Refusal(*faults)
    return _ignored(names, champion)


def score_chunk(chunk: Chunk, champion: Champion, job: Job) -> Chunk:
    """Predicts the rows that fit, and keeps them and the others in the job's folder."""
    raw = _frame(chunk, champion)
    typed = champion.schema.apply(raw)
    found = misfits(raw, typed, champion.schema, champion.keys)
    if champion.predictor.problem.is_generation:
        _without_prompt(typed, found)
    predicted = champion.predictor.of_typed(typed, champion.interval)
    rows, rejected = chunk.rows, None
    numbers = np.arange(chunk.first, chunk.first + chunk.n_rows)
    if found.reasons:
        fits = np.ones(chunk.n_rows, dtype=bool)
        fits[list(found.reasons)] = False
        rejected = _rejected(chunk, found)
        rows, numbers = rows.filter(pa.array(fits)), numbers[fits]
        raw, typed, predicted = raw[fits], typed[fits], predicted[fits]
    is_known = seen.known_rows(champion.trained_on, raw, typed)
    made = _output(rows, raw, predicted, numbers, is_known, champion, job)
    summary = "" if champion.reference is None else _counted(champion.reference, typed, predicted, is_known).as_json()
    job.keep(chunk.number, Record(chunk.digest, chunk.n_rows, len(found.reasons), summary), made, rejected)
    return chunk


def _counted(reference: Summary, typed: pd.DataFrame, predicted: pd.DataFrame, is_known: seen.Mask) -> Summary:
    """Of the rows that the model was not trained on."""
    return replace(reference.counted(typed[~is_known], predicted[~is_known]), n_known=int(is_known.sum()))


def _without_prompt(typed: pd.DataFrame, found: Misfits) -> None:
    """A model that writes is asked nothing by an empty text."""
    for name, prompts in typed.items():
        places = np.flatnonzero((prompts.fillna("").astype(str).str.strip() == "").to_numpy())
        found.add(places, [f"{name}, the prompt, is empty"] * len(places))


def _keys_of(folder: Path) -> tuple[str, ...]:
    known = seen.read(folder)
    identity = known[0].identity if known else None
    return identity.columns if identity is not None and identity.by == "key" else ()


def _frame(chunk: Chunk, champion: Champion) -> pd.DataFrame:
    """The columns that are used, of all the table's."""
    needed = dict.fromkeys([*(column.name for column in champion.schema.columns), *champion.keys])
    needed |= dict.fromkeys(name for name in seen.columns(champion.trained_on) if name in chunk.rows.schema.names)
    frame: pd.DataFrame = chunk.rows.select(list(needed)).to_pandas(split_blocks=True)
    return frame


def _strange_levels(raw: pd.DataFrame, typed: pd.DataFrame, champion: Champion) -> Iterator[str]:
    """Columns of levels that come in another type than in training, and of which the model knows no level: 1 for 01."""
    kinds = {column.name: column.raw for column in champion.schema.columns if column.kind == "categorical"}
    for known in champion.reference.columns if champion.reference is not None else ():
        if known.name not in kinds or (kinds[known.name] == "string") == _is_text(raw[known.name]):
            continue
        found = known.counted(typed[known.name])
        if sum(found.counts) and sum(found.counts) == found.counts[-1]:
            some = ", ".join(map(repr, known.bounds[:3]))
            yield f"{known.name} has {typed[known.name].dropna().iloc[0]!r} and others where the model knows {some}"


def _is_text(values: pd.Series[Any]) -> bool:
    return not (pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values))


def _ignored(names: Sequence[str], champion: Champion) -> list[str]:
    target = champion.predictor.problem.target
    known = {column.name for column in champion.schema.columns} | set(champion.keys) | {target}
    extra = [name for name in names if name not in known]
    is_ignored = target in names and target not in {column.name for column in champion.schema.columns}
    notes = [f"{target}, the target, is in the table and is ignored"] if is_ignored else []
    if extra:
        more = f" and {len(extra) - MOST_NAMED} more" if len(extra) > MOST_NAMED else ""
        notes.append(f"ignored, for the model knows no such columns: {', '.join(extra[:MOST_NAMED])}{more}")
    if not champion.keys:
        notes.append("no source.key: rows are named by their number, and labels that come later find no prediction")
    return notes


def _output(
    rows: pa.RecordBatch,
    raw: pd.DataFrame,
    predicted: pd.DataFrame,
    numbers: np.typing.NDArray[np.int64],
    is_known: seen.Mask,
    champion: Champion,
    job: Job,
) -> pa.RecordBatch:
    n = len(predicted)
    columns = {key: rows.column(key) for key in champion.keys} or {ROW: pa.array(numbers)}
    columns |= {str(name): _arrow(predicted[name]) for name in predicted}
    columns["model_name"] = pa.DictionaryArray.from_arrays(pa.nulls(n, pa.int8()).fill_null(0), [champion.name]).cast(
        pa.string()
    )
    columns["model_version"] = pa.nulls(n, pa.int64()).fill_null(champion.version)
    columns["scored_at"] = pa.nulls(n, pa.timestamp("us", "UTC")).fill_null(job.begun)
    hashes = scored.key_hashes(raw, champion.keys) if champion.keys else np.zeros(n, dtype=np.uint64)
    columns |= {KEY: pa.array(hashes), KNOWN: pa.array(is_known)}
    return pa.record_batch(columns)


def _arrow(values: pd.Series[Any]) -> pa.Array:
    made = pa.array(values, from_pandas=False)
    return made.cast(pa.string()) if pa.types.is_large_string(made.type) else made


def _rejected(chunk: Chunk, found: Misfits) -> pa.RecordBatch:
    """The rows as they were read, beside their number and the reason."""
    places = sorted(found.reasons)
    kept = chunk.rows.select([name for name in chunk.rows.schema.names if name not in REASON])
    kept = kept.take(pa.array(places, pa.int64()))
    reasons = pa.array(["; ".join(found.reasons[place]) for place in places], pa.string())
    ours = [pa.array([chunk.first + place for place in places], pa.int64()), reasons]
    return pa.record_batch([*ours, *kept.columns], names=[*REASON, *kept.schema.names])
