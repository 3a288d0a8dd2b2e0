"""Provenance: what a registered model carries with it for those who go on from it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from flows import screen
from flows.build import resolve
from flows.decide import Job
from flows.record import versioned
from tasks import base_folder, provenance, registry, scored, seen, source_rows
from tasks.model import BeginsWith
from tasks.provenance import Ancestor, Provenance
from tasks.records import Evaluation, Trained, jsonable

ENSEMBLE = "ensemble"  # the family of a model of several trials


@contextmanager
def as_base(job: Job, trained: Trained, evaluation: Evaluation, base: Path | None) -> Iterator[tuple[Path, Provenance]]:
    """A folder for the time of the block, with the model's files, `base.json`, the hashes of the rows that it was
    trained on, and where that was asked for rows of its source; and what stands in `base.json`."""
    asked = job.decided.composed.config.pretrain
    with tempfile.TemporaryDirectory(prefix=".base-", dir=Path(trained.folder).parent) as beside:
        folder = Path(beside) / "model"
        shutil.copytree(trained.folder, folder)
        kept: dict[str, int] = {}
        if asked.keep and asked.rows:
            kept = source_rows.keep(job.split, folder, asked.rows)
        seen.write(folder, job.prepared, job.split, job.decided.composed.config.holdout.seed, base)
        scored.write_reference(
            folder, Path(job.split.folder) / "train_features.parquet", job.prepared.text, Path(evaluation.predictions),
            job.prepared.problem,
        )  # fmt: skip
        made = replace(_provenance(job, trained, evaluation, base, kept), files=provenance.digests(folder))
        (folder / provenance.FILE).write_text(made.as_json(), encoding="utf-8")
        yield folder, made


def _provenance(
    job: Job, trained: Trained, evaluation: Evaluation, base: Path | None, kept: dict[str, int]
) -> Provenance:
    config, prepared = job.decided.composed.config, job.prepared
    scores: dict[str, Any] = jsonable({name: asdict(score) for name, score in evaluation.scores.items()})
    unweighted = None if evaluation.unweighted is None else jsonable(asdict(evaluation.unweighted))
    return Provenance(
        family=trained.family,
        source={"name": prepared.name, "digest": prepared.digest, "rows": prepared.n_rows, "kept": kept},
        licence=config.pretrain.licence,
        origin=config.pretrain.origin or prepared.name,
        metric=job.decided.metric,
        scores=scores,
        versions={name: version(name) for name in versioned(job)},
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        lineage=_lineage(job, base) if base is not None else _begun_with(job, trained.family),
        unweighted=unweighted,
    )


def begun_with(job: Job, family: str) -> list[tuple[Path, str, str]]:
    """Without a base: the pre-trained weights that this family, or any of an ensemble's, begins with all the same:
    their folder, their name, and how the family goes on from there."""
    begins = [one for name, one in job.families.items() if family in (name, ENSEMBLE) and isinstance(one, BeginsWith)]
    return [(*there, one.way) for one in begins if (there := one.begins_with()) is not None]


def _begun_with(job: Job, family: str) -> tuple[Ancestor, ...]:
    found = []
    for folder, origin, way in begun_with(job, family):
        known = replace(base_folder.found_out(folder, origin), files=provenance.digests(folder))
        found.append(Ancestor(origin, known.sha256, way, "unknown", known.licence, origin))
    return tuple(found)


def _lineage(job: Job, base: Path) -> tuple[Ancestor, ...]:
    """The base, and those that it came from."""
    config, known = job.decided.composed.config, provenance.read(base)
    if config.base is None or known is None:
        return ()
    strategy = job.decided.composed.choices["strategy"]
    named = registry.with_version(resolve(config.base, "base"), known.sha256, job.plan.tracking_uri)
    source = str(known.source.get("name"))
    return (Ancestor(named, known.sha256, strategy, source, known.licence, known.origin), *known.lineage)


def say_what_is_kept(made: Provenance) -> None:
    """Rows that travel with the model are told."""
    if not (kept := made.source["kept"]):
        return
    screen.say(
        f"with the model go rows of its source, for rehearsal and to measure forgetting: {kept['train']:,} that it was "
        f"trained on, and of the sealed {kept['valid']:,} to choose by and {kept['holdout']:,} for the end; "
        "pretrain.rows=0 keeps none"
    )


def tags(made: Provenance) -> dict[str, str]:
    """Of the run and of the model's version in MLflow."""
    told = {"sha256": made.sha256, "licence": made.licence, "origin": made.origin}
    for nearest in made.lineage[:1]:
        of_base = asdict(nearest)
        told |= {"base": of_base.pop("base"), **{f"base.{key}": value for key, value in of_base.items()}}
    return {f"finefold.{key}": "unknown" if value is None else value for key, value in told.items()}
