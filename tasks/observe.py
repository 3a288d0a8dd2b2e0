"""Observe: what is seen of a model since it was trained, in a table of today or in the batches that it scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks import decision as decisions
from tasks import scored, seen
from tasks.champion import judged
from tasks.decay import Decay, decay_of
from tasks.drift import drifts
from tasks.histogram import Histogram
from tasks.labels import Labels, check_columns, coded
from tasks.metric import Floats
from tasks.predictor import Predictor
from tasks.records import Problem
from tasks.remedy import Evidence, Rules
from tasks.row_hash import Hashes
from tasks.scored import Batch, Summary, key_hashes
from tasks.seen import known_rows
from tasks.source import Source

OUTPUT = "output: "  # before the name of what is predicted, for a column may have the same


@dataclass(frozen=True)
class Observed:
    """What was seen, as evidence for a decision, beside the counts that it rests on. before: of the rows that the model
    was trained on, and of its predictions for its holdout; None for a model without. of: what was looked at, in words.
    notes: what else was found."""

    evidence: Evidence
    before: Summary | None
    now: Summary | None
    of: str
    notes: tuple[str, ...]


@dataclass
class _Labelled:
    """Labelled rows, part by part, with the hashes of their keys where they have one; and how many labels are none that
    the model knows."""

    y: list[Floats] = field(default_factory=list)
    predictions: list[Floats] = field(default_factory=list)
    keys: list[Hashes] = field(default_factory=list)
    n_unknown: int = 0

    def add(self, labels: pd.Series[Any], predicted: pd.DataFrame, problem: Problem, keys: Hashes | None) -> None:
        y, unknown = coded(labels, problem)
        has_label = ~np.isnan(y)
        self.n_unknown += unknown
        self.y.append(y[has_label])
        self.predictions.append(_numbers(predicted, problem)[has_label])
        if keys is not None:
            self.keys.append(keys[has_label])

    def rows(self) -> tuple[Floats, Floats]:
        """y and predictions; of rows with one key the last."""
        y, predictions = np.concatenate(self.y), np.concatenate(self.predictions)
        if not self.keys:
            return y, predictions
        keys = np.concatenate(self.keys)
        last = len(keys) - 1 - np.unique(keys[::-1], return_index=True)[1]
        return y[last], predictions[last]


@task(name="observe table", task_run_name="observe", cache_policy=NO_CACHE, persist_result=False)
def observe_table(folder: Path, source: Source, labels: Labels | None, key: Sequence[str], rules: Rules) -> Observed:
    """The rows of a table that the model in the folder was not trained on, read part by part, against those that it
    was. Where the table has the target, or labels are given by key, its score too.

    Raises:
        Refusal: for a table that can't be read, or lacks the columns of the key.
    """
    predictor, before = Predictor.load(folder), scored.reference_in(folder, "", 0)
    labelled, parts, gone, n_rows, n_known = _Labelled(), list[Summary](), tuple[str, ...](), 0, 0
    tables, writes = seen.read(folder), predictor.problem.is_generation  # of what is written nothing is judged
    for batch in source.batches():
        raw = batch.to_pandas()
        gone = tuple(one.name for one in predictor.asked.columns if one.name not in raw)
        typed = predictor.asked.apply(raw.assign(**dict.fromkeys(gone)))
        is_new = ~known_rows(tables, raw, typed)
        n_known += int((~is_new).sum())
        raw, typed = (one[is_new].reset_index(drop=True) for one in (raw, typed))
        n_rows += len(raw)
        if not len(raw):
            continue
        predicted = pd.DataFrame(index=raw.index) if writes else predictor.of_typed(typed, None)
        if before is not None:
            parts.append(before.counted(typed, predicted))
        if writes:
            continue
        if labels is not None:
            check_columns(raw, key, "source.path")
            hashes = key_hashes(raw, key)
            labelled.add(labels.of(hashes), predicted, predictor.problem, hashes)
        elif predictor.problem.target in raw:
            labelled.add(raw[predictor.problem.target], predicted, predictor.problem, None)
    now = scored.merged(parts) if parts else None
    decay, notes = _decay(folder, predictor.problem, labelled, labels)
    evidence = _evidence(predictor, before, now, n_rows, gone, decay, rules)
    told = (f"{n_known:,} rows that the model was trained on are left out",) if n_known else ()
    return Observed(evidence, before, now, f"{n_rows:,} rows of {source.name}", (*told, *notes))


@task(name="observe scored batches", task_run_name="observe", cache_policy=NO_CACHE, persist_result=False)
def observe_batches(
    folder: Path, batches: Sequence[Batch], labels: Labels | None, rules: Rules, now: datetime
) -> Observed:
    """The batches that the model in the folder scored within the rules' window, against the rows that it was trained
    on; its score on all rows that it ever scored and that a label has come for, each key's last prediction."""
    predictor, before = Predictor.load(folder), scored.reference_in(folder, "", 0)
    begin = now - timedelta(hours=rules.window_hours)
    recent = [one for one in batches if datetime.fromisoformat(one.summary.ended) >= begin and one.summary.columns]
    share = scored.independent(recent)
    seen = scored.merged(one.summary for one in recent).thinned(share) if recent else None
    labelled = _Labelled()
    for batch in batches if labels is not None else ():
        for part in batch.predictions():
            if labels is not None and batch.summary.keys:
                labelled.add(labels.of(part["key"].to_numpy()), part, predictor.problem, part["key"].to_numpy())
    decay, notes = _decay(folder, predictor.problem, labelled, labels)
    n_rows = sum(one.summary.n_rows for one in recent)
    n_known, rejected = (sum(getattr(one.summary, what) for one in recent) for what in ("n_known", "n_rejected"))
    counted = round((n_rows - n_known) * share)
    evidence = _evidence(predictor, before, seen, counted, (), decay, rules)
    told = {
        f"{rejected:,} rows were rejected by scoring": rejected,
        f"{n_known:,} rows that the model was trained on are left out": n_known,
        f"the others are worth {counted:,} rows, for some keys came again": share < 1,
    }
    of = f"{n_rows:,} rows in {len(recent)} batches scored within {rules.window_hours:g} hours"
    return Observed(evidence, before, seen, of, (*(text for text, is_told in told.items() if is_told), *notes))


def _evidence(
    predictor: Predictor,
    before: Summary | None,
    now: Summary | None,
    n_rows: int,
    gone: tuple[str, ...],
    decay: Decay | None,
    rules: Rules,
) -> Evidence:
    if before is None or now is None:
        return Evidence(n_rows, gone=gone, decay=decay, has_reference=before is not None)
    times = {name for one in predictor.schema.columns if one.kind == "time" for name in one.features()}
    known = {one.name for one in before.columns} - times - set(gone)  # times drift by their nature
    inputs = [_by_name(side.columns, known) for side in (before, now)]
    outputs = [{OUTPUT + k: v for k, v in _by_name(side.predictions, None).items()} for side in (before, now)]
    if gone:
        outputs = [{}, {}]
    both = drifts(
        inputs[0] | outputs[0], inputs[1] | outputs[1], false_alarms=rules.false_alarms, psi=rules.psi.drifted
    )
    of_inputs = tuple(one for one in both if one.name in inputs[0])
    return Evidence(n_rows, of_inputs, tuple(one for one in both if one.name in outputs[0]), gone, decay)


def _by_name(histograms: Sequence[Histogram], names: set[str] | None) -> dict[str, Histogram]:
    return {one.name: one for one in histograms if names is None or one.name in names}


def _decay(
    folder: Path, problem: Problem, labelled: _Labelled, labels: Labels | None
) -> tuple[Decay | None, tuple[str, ...]]:
    """The score, where there are labelled rows, and what was found of the labels."""
    y, prediction = labelled.rows() if labelled.y else (np.zeros(0), np.zeros(0))
    notes = list(labels.notes) if labels is not None else []
    if labelled.n_unknown:
        notes.append(f"{labelled.n_unknown:,} labels are none that the model knows, and are left out")
    unmet = 0 if labels is None else len(labels.by_key) - len(y) - labelled.n_unknown
    if unmet > 0:
        notes.append(f"{unmet:,} labels have a key that no row has")
    known = judged(folder)
    if not len(y) or known is None:
        return None, tuple(notes)
    metric, before = known
    return decay_of(metric, y, prediction, before, decisions.read(folder)), tuple(notes)


def _numbers(predicted: pd.DataFrame, problem: Problem) -> Floats:
    """(n_rows, k) probabilities, or (n_rows,) numbers."""
    names = [f"probability_{label}" for label in problem.classes]
    return predicted[names or "prediction"].to_numpy(dtype=np.float64)
