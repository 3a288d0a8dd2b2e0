"""Experiment: what decides a study's result, and what of it the workers are given."""

from __future__ import annotations

from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from flows.decide import Job, goes_on_from, paid_starts
from flows.record import versioned
from tasks import provenance
from tasks.strategy import trains_on_source
from tasks.study import Study
from tasks.workspace import Experiment

_PAID = ("rounds", "max_rows")  # what decides a fold's result of what search.seconds may have made less


def identity(job: Job, base: Path | None) -> dict[str, Any]:
    """All that decides a study's result; not its budget, workers, output or tracking."""
    config = job.decided.composed.config
    is_grid = str(config.search.sampler.get("_target_", "")).startswith("tasks.search.grid.")
    families = {
        name: {key: value for key, value in node.items() if is_grid or key != "grid"}
        for name, node in config.model.items()
    }
    return {
        "data": job.prepared.digest,
        "problem": asdict(job.prepared.problem),
        "split": job.split.digest,
        "folds": config.folds,
        "families": families,
        "loss": config.loss,
        **({"class_weight": asdict(weights)} if (weights := job.decided.class_weight) else {}),
        "metric": job.decided.metric,
        "sampler": config.search.sampler,
        "window": config.search.window,
        **({"together": job.plan.together} if job.plan.together > 1 else {}),
        "racing": config.search.racing,
        "evidence": [asdict(rung) for rung in job.ladder.rungs],
        **({} if job.ladder.is_climbed else {"is_climbed": False}),
        **({"whole": sorted(job.ladder.whole)} if job.ladder.whole else {}),
        **{key: known for key in _PAID if (known := _known(job, key))},
        **({"iterations": fewer} if (fewer := _fewer_iterations(job)) else {}),
        **({"starts": starts} if any((starts := paid_starts(job.plan, job.families)).values()) else {}),
        **({"turns": costs} if len(costs := job.plan.space.seconds) > 1 and not is_grid else {}),
        **({"warm_start": list(job.plan.space.warm)} if job.plan.space.warm else {}),
        **({"limits": job.plan.limits.known, "final_step": _known(job, "final_step")} if job.plan.limits else {}),
        "base": None if base is None else provenance.identity(base, with_source=_uses_source(job)),
        **({} if job.plan.strategy is None else {"strategy": config.strategy}),
        **({"encoders": encoders} if (encoders := _encoders(job, base)) else {}),
        "seed": config.seed,
        "versions": {name: version(name) for name in versioned(job)},
    }


def _known(job: Job, key: str) -> dict[str, Any]:
    """What each family that knows it has of that, which search.seconds may have made less."""
    known = {name: getattr(family, key, None) for name, family in job.families.items()}
    return {name: value for name, value in known.items() if value is not None}


def _fewer_iterations(job: Job) -> dict[str, int]:
    """Of a solver, where search.seconds pays for fewer than planned."""
    both = {name: (getattr(it, "iterations", None), getattr(job.plan.families[name], "iterations", None))
            for name, it in job.families.items()}  # fmt: skip
    return {name: now for name, (now, planned) in both.items() if now is not None and now != planned}


def _uses_source(job: Job) -> bool:
    return trains_on_source(job.plan.strategy, job.families.values())


def _encoders(job: Job, base: Path | None) -> dict[str, str]:
    """The digests of the pre-trained weights that families begin with, which a path doesn't tell.

    Raises:
        Refusal: where there are none, or none that can be read safely.
    """
    known = {name: getattr(family, "weights", None) for name, family in job.families.items()}
    return {name: weights(base) for name, weights in known.items() if weights is not None}


def experiment_of(job: Job, study: Study, digest: str, base: Path | None) -> Experiment:
    return Experiment(
        digest=f"{digest}-{study.folder.name}",
        folder=str(study.folder.resolve()),
        split=str(Path(job.split.folder).resolve()),
        problem=job.prepared.problem,
        families=job.families,
        loss=job.decided.loss,
        metric=job.decided.metric,
        base=str(base.resolve()) if base is not None and goes_on_from(job.plan) else None,
        seed=job.decided.composed.config.seed,
        n_folds=job.split.n_folds,
        growth=job.split.growth,
        n_threads=1,
        keep_models=job.plan.ensemble is not None,
        limits=job.plan.limits,
        class_weight=job.decided.class_weight,
        text=job.prepared.text,
        takes_simplest=job.decided.composed.config.select == "simplest",
    )
