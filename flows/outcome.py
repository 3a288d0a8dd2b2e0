"""Outcome: what of a run must come out again when it is reproduced, and under which circumstances it came out."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from flows.build import resolve
from flows.decide import Job
from flows.experiment import identity
from flows.final import Final
from flows.record import described, versioned
from tasks import provenance, registry
from tasks.recorded import OUTCOME, PREDICTIONS
from tasks.records import Evaluation, jsonable
from tasks.store import write_file
from tasks.study import Study
from tasks.tracking import Tracker


def log_outcome(
    tracker: Tracker, job: Job, base: Path | None, study: Study, ended: Final, evaluation: Evaluation
) -> None:
    """Writes both as `outcome/outcome.json`, and what was predicted for the holdout beside it, without its labels."""
    folder = study.folder / "outcome"
    predictions = read_predictions(evaluation)
    content = {**circumstances(job, base), **outcome(job, ended, evaluation), "population": study.recall("population")}
    text = json.dumps(jsonable(content), indent=1, ensure_ascii=False)
    write_file(folder / OUTCOME, lambda beside: _write(beside, text))
    write_file(folder / PREDICTIONS, lambda beside: predictions.to_parquet(beside, index=False))
    tracker.artifacts(folder, folder.name)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def circumstances(job: Job, base: Path | None) -> dict[str, Any]:
    """Under which a run came out so: all that decides a study, versions, threads and machine; and where to look for
    what it read, which decides nothing.

    `identity` holds the digests of data and split. `place`: the current folder.
    """
    composed = job.decided.composed
    return {
        "identity": plain(identity(job, base)),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in versioned(job)}},
        "threads": job.plan.n_workers,
        "machine": machine(),
        "rows": job.prepared.n_rows,
        "features": job.prepared.n_features,
        "choices": composed.choices,
        "place": str(Path.cwd()),
        "base": None if base is None else _base(job, base),
    }


def outcome(job: Job, ended: Final, evaluation: Evaluation) -> dict[str, Any]:
    """What came out: the trials that were told, the winner with its folds, the ensemble, the final fit, the holdout's
    scores and the digest of its predictions."""
    winner, trained = ended.tuned.winner, ended.trained
    has_rounds = winner.rounds is not None  # not a forest, whose trees are told where time had ended them
    return {
        "trials": len(ended.tuned.results),
        "winner": winner.proposal.number,
        "hyperparameters": {"model": winner.proposal.family, **plain(winner.proposal.hyperparameters)},
        "folds": {f"fold {fold.fold}": fold.value for fold in winner.folds},
        "rows_of_folds": winner.proposal.n_rows,
        "judged": {one.proposal.family: [fold.fold for fold in one.folds] for one in ended.tuned.judged},
        "completed": {one.proposal.number: [fold.fold for fold in one.folds] for one in ended.tuned.completed},
        "ensemble": None if ended.combined is None else plain(described(ended.combined)),
        "final": {
            "rounds": trained.rounds if has_rounds or trained.cut_at is not None else None,
            **plain(trained.changed), "note": trained.note, "cut_at": trained.cut_at,
            "course": None if trained.course is None else asdict(trained.course),
            **({"hurried": plain(trained.hurried)} if trained.hurried else {}),
        },
        "corrected": None if evaluation.corrected is None else evaluation.corrected.value,
        "holdout": {name: score.value for name, score in evaluation.scores.items()},
        "predictions": digest(read_predictions(evaluation)),
    }


def read_predictions(evaluation: Evaluation) -> pd.DataFrame:
    """(n_holdout, ...) what was predicted, without the target."""
    return pd.read_parquet(evaluation.predictions).drop(columns="target")


def digest(predictions: pd.DataFrame) -> str:
    """Of the very bits."""
    made = hashlib.sha256(json.dumps([str(name) for name in predictions.columns]).encode())
    for name in predictions.columns:
        made.update(predictions[name].to_numpy(dtype="float64").tobytes())
    return made.hexdigest()[:16]


def machine() -> dict[str, Any]:
    """What of a machine may change the last digits of a sum."""
    return {"system": platform.system(), "architecture": platform.machine(), "processor": _processor(),
            "cores": os.cpu_count()}  # fmt: skip


def plain(value: Any) -> Any:
    """As JSON gives it back."""
    return json.loads(json.dumps(jsonable(value), default=str))


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor()


def _base(job: Job, base: Path) -> dict[str, str]:
    """A base's copy by content, and its name with the version that an alias stood for."""
    named, known = resolve(str(job.decided.composed.config.base), "base"), provenance.read(base)
    sha256 = "" if known is None else known.sha256
    return {"folder": str(base), "named": registry.with_version(named, sha256, job.plan.tracking_uri)}
