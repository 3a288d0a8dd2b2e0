"""What a run writes into its MLflow run: what was asked for, and what came out."""

from __future__ import annotations

import getpass
import os
import platform
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import asdict, is_dataclass, replace
from importlib.metadata import version
from pathlib import Path
from statistics import fmean
from types import MappingProxyType
from typing import Any
from uuid import UUID

from prefect.artifacts import create_link_artifact
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound
from prefect.runtime import flow_run
from prefect.states import Crashed

from flows.decide import Job
from flows.tune import Tuned
from tasks import provenance, tracking
from tasks.climb import Rung
from tasks.comparison import Interval, error_of_mean
from tasks.examine import OUT_OF_FOLD
from tasks.loss import Loss
from tasks.model import packages
from tasks.optimizer import Optimizer
from tasks.out_of_fold import over_folds
from tasks.records import Combined, Evaluation, Examined, HoldoutScore, Trained, Winner, jsonable
from tasks.registry import GATE_TAG
from tasks.study import Study, fold_file, read_fold
from tasks.tracking import Tracker
from tasks.verdict import Number, Verdict
from tasks.workspace import Experiment

# A study goes on only with the versions that it began with: they decide its numbers too.
VERSIONS = ("finefold", "lightgbm", "scikit-learn", "optuna", "numpy", "scipy", "pandas")
# What else a run is tagged with by the command that started it: a comparison names the run that holds it.
TAGS: ContextVar[Mapping[str, str]] = ContextVar("TAGS", default=MappingProxyType({}))


@contextmanager
def tagged(tags: Mapping[str, str]) -> Iterator[None]:
    """Runs that begin within the block have these tags too."""
    token = TAGS.set(tags)
    try:
        yield
    finally:
        TAGS.reset(token)


def versioned(job: Job) -> tuple[str, ...]:
    """The packages whose versions decide a study's numbers."""
    return (*VERSIONS, *sorted({name for family in job.families.values() for name in packages(family)}))


def versions_of(job: Job) -> dict[str, str]:
    """Of Python and of all that a run is made with."""
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in (*versioned(job), "mlflow", "prefect")},
    }


def tags_of(job: Job) -> dict[str, str]:
    return {
        "prefect.flow_run": str(flow_run.id),
        "prefect.url": str(flow_run.ui_url or ""),
        "finefold.data": job.prepared.digest,
        "finefold.split": job.split.digest,
        "finefold.source": job.prepared.name,
        "mlflow.source.name": "finefold run",
        "mlflow.source.type": "LOCAL",
        "mlflow.user": user(),
        **TAGS.get(),
    }


def user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run under a number that has no name
        return str(os.getuid())


def log_what_was_asked(tracker: Tracker, job: Job, tags: dict[str, str]) -> None:
    composed, prepared = job.decided.composed, job.prepared
    commit = tracking.git_commit()
    tracker.tags({**tags, **({"mlflow.source.git.commit": commit} if commit else {})})
    versions = versions_of(job)
    tracker.params(
        {
            "overrides": " ".join(composed.overrides),
            "seed": composed.config.seed,
            "metric": job.decided.metric,
            **parameters_of("loss", job.decided.loss),
            **({"class_weight": weights} if (weights := composed.config.class_weight) else {}),
            **{key: given for key in ("threshold", "costs") if (given := getattr(composed.config, key)) is not None},
            **{key: choice for key, choice in composed.choices.items() if choice is not None and key != "optimizer"},
            **_optimizer(job),
            "problem": prepared.problem.kind,
            "trials": composed.config.search.trials,
            **{f"version.{name}": number for name, number in versions.items()},
        }
    )
    tracker.json(
        {"overrides": list(composed.overrides), "config": composed.recorded, "versions": versions}, "config.json"
    )
    tracker.dataset(
        prepared.name,
        prepared.digest,
        prepared.name,
        {"rows": prepared.n_rows, "features": prepared.n_features, "holdout": job.split.n_holdout},
    )
    tracker.artifacts(Path(prepared.folder), "data", only=("quality.json", "schema.json"))


def parameters_of(group: str, choice: Loss | Optimizer) -> dict[str, Any]:
    """What a choice of the group is told beside its name, under the keys that it is given by; an `auto` as the data
    settled it. Ranges are left out: what was chosen within one is a hyperparameter."""
    fields: dict[str, Any] = asdict(choice) if is_dataclass(choice) and not isinstance(choice, type) else {}
    return {f"{group}.{name}": value for name, value in fields.items() if not isinstance(value, dict)}


def _optimizer(job: Job) -> dict[str, Any]:
    """The optimizer and what it is told, where a family of the run has one."""
    for family in job.families.values():
        if (optimizer := getattr(family, "optimizer", None)) is not None:
            return {"optimizer": optimizer.name, **parameters_of("optimizer", optimizer)}
    return {}


def take_over(study: Study) -> None:
    """Notes in the study which flow run works on it. The one that did before, if its process was killed, is marked as
    crashed: Prefect would show it as running for ever. Called with the lock held: nobody else works on the study."""
    earlier = study.recall("flow_run")
    study.remember("flow_run", str(flow_run.id))
    if earlier is None or earlier == str(flow_run.id):
        return
    with get_client(sync_client=True) as client, suppress(ObjectNotFound):  # another server may have been used then
        state = client.read_flow_run(UUID(earlier)).state
        if state is not None and state.is_running():
            message = "The process was killed; the same command went on in another flow run."
            client.set_flow_run_state(UUID(earlier), Crashed(message=message), force=True)


def described(combined: Combined) -> dict[str, Any]:
    """An ensemble as it is reported: who is in it, by which weight, its score, and whether it is the final model."""
    members = [
        {
            "trial": member.proposal.number,
            "weight": member.weight,
            "is_of_all_rows": member.proposal.number in combined.whole,
            "hyperparameters": {"model": member.proposal.family, **member.proposal.hyperparameters},
        }
        for member in combined.members
    ]
    cv = {"mean": combined.mean, "se": combined.standard_error, "chosen_at": combined.chosen_at,
          "alone": combined.alone}  # fmt: skip
    cut = {"is_cut": True} if combined.is_cut else {}
    left_out = {"left_out": list(combined.left_out)} if combined.left_out else {}
    return {"is_used": combined.trained is not None, **cut, **left_out, "members": members, "cv": cv}


def log_what_came_out(
    tracker: Tracker, job: Job, experiment: Experiment, tuned: Tuned, combined: Combined | None, trained: Trained,
    evaluation: Evaluation,
) -> None:  # fmt: skip
    """`cv_NAME` is the winner's mean over its folds, of each metric that the holdout has; one is selected on."""
    winner, metric = tuned.winner, job.decided.metric
    others = over_folds(experiment, winner, [name for name in evaluation.scores if name != metric])
    comes_to = {} if trained.footprint is None else asdict(trained.footprint)
    if combined is not None and combined.members:
        tracker.json({**described(combined), "folds": list(combined.folds)}, "ensemble.json")
        tracker.metrics(
            {
                f"ensemble_cv_{metric}": combined.mean,
                f"ensemble_cv_{metric}_se": combined.standard_error,
                "ensemble_members": len(combined.members),
            }
        )
    tracker.tags({"mlflow.note.content": _description(job, tuned, trained, evaluation)})
    create_link_artifact(
        tracker.url, link_text="MLflow run", key="mlflow-run", description="Metrics, trials, plots and the model"
    )
    tracker.params(
        {
            f"best.{key}": value
            for key, value in {"model": winner.proposal.family, **winner.proposal.hyperparameters}.items()
        }
    )
    tracker.params({f"final.{key}": value for key, value in trained.changed.items()})
    tracker.metrics(
        {
            f"cv_{metric}": winner.mean,
            f"cv_{metric}_se": winner.standard_error,
            **{f"cv_{name}": fmean(values) for name, values in others.items() if values},
            **{f"cv_{name}_se": error_of_mean(values) for name, values in others.items() if values},
            "parameters_learned": trained.n_parameters,
            "parameters_trainable": trained.n_parameters - trained.n_frozen,
            "parameters_frozen": trained.n_frozen,
            **({} if trained.rounds is None else {"rounds": trained.rounds}),
            **{f"model_{key}": value for key, value in comes_to.items()},
            **{f"trials_{key}": n for key, n in asdict(tuned.counts).items()},
            **{f"holdout_{name}": score.value for name, score in evaluation.scores.items()},
            **{f"holdout_{name}_low": score.low for name, score in evaluation.scores.items()},
            **{f"holdout_{name}_high": score.high for name, score in evaluation.scores.items()},
            **{f"baseline_{name}": score.baseline for name, score in evaluation.scores.items()},
        }
    )


def log_losses(tracker: Tracker, study: Study, winner: Winner, examined: Examined) -> None:
    """The cost of the winner's folds, round by round where its family tells it, and where the model fails."""
    stored = [read_fold(fold_file(study.folder, winner.proposal, fold.fold)) for fold in winner.folds]
    curves = {f"cost/fold_{it.score.fold}": it.costs for it in stored if it is not None and it.costs}
    tracker.series({"fold_cost": [(fold.fold, fold.cost) for fold in winner.folds], **curves})
    tracker.metrics({"cv_cost": fmean(fold.cost for fold in winner.folds)})
    tracker.artifacts(Path(examined.folder), "losses")


def log_checks(tracker: Tracker, verdict: Verdict, base: Path | None) -> None:
    """The numbers as `check.CHECK.NAME` with the ends of their intervals, the gate as a tag, and all of it, with what
    the base says of itself, as `checks.json`."""
    numbers: dict[str, float] = {}
    for finding in verdict.findings:
        every = {**finding.numbers, **{f"{p}.{k}": n for p, part in finding.parts.items() for k, n in part.items()}}
        for name, number in every.items():
            numbers |= ends(re.sub(r"[^\w\-. :/]", ":", f"check.{finding.check}.{name}"), number)
    tracker.metrics(numbers)
    tracker.tags({GATE_TAG: verdict.gate, **{f"finefold.check.{one.check}": one.state for one in verdict.findings}})
    tracker.json(jsonable({**asdict(verdict), "base": origin_of(base)}), "checks.json")


def origin_of(base: Path | None) -> dict[str, str | None] | None:
    """Where a base is from, its licence, and the digest of its files; None without one."""
    known = None if base is None else provenance.read(base)
    return None if known is None else {"origin": known.origin, "licence": known.licence, "sha256": known.sha256}


def log_plots(
    tracker: Tracker, job: Job, study: Study, tuned: Tuned, trained: Trained, evaluation: Evaluation, verdict: Verdict,
    examined: Examined,
) -> None:
    """Draws the pictures of the run and logs them under `plots/`."""
    from tasks.plot import (  # matplotlib takes a second to import, which the first trial need not wait
        Material,
        draw_all,
    )

    folder = study.folder / "plots"
    material = Material(
        split=Path(job.split.folder),
        problem=job.prepared.problem,
        study=study,
        results=tuned.results,
        # An ensemble has no final fit, and so no rounds of one.
        winner=tuned.winner if trained.rounds is not None else replace(tuned.winner, rounds=None),
        metric=job.decided.metric,
        loss=job.decided.loss.name,
        trained=trained,
        predictions=Path(evaluation.predictions),
        seed=job.decided.composed.config.seed,
        verdict=verdict,
        out_of_fold=Path(examined.folder) / OUT_OF_FOLD,
    )
    shutil.rmtree(folder, ignore_errors=True)  # of an earlier run with another winner
    draw_all(folder, material)
    tracker.artifacts(folder, "plots")


def _description(job: Job, tuned: Tuned, trained: Trained, evaluation: Evaluation) -> str:
    """The run's description in MLflow: what was found, in Markdown."""
    metric, winner, n_folds = job.decided.metric, tuned.winner, len(tuned.winner.folds)
    error = f" ± {winner.standard_error:.2g}" if n_folds > 1 else ""
    rows = [
        f"| {name} | {score.value:.5g} | {score.interval} | {score.baseline:.5g} | {score.linear:.5g} |"
        for name, score in evaluation.scores.items()
    ]
    lines = [
        f"Trial {winner.proposal.number} of {tuned.counts.finished} won with {metric} {winner.mean:.5g}{error} over "
        f"{n_folds} fold{'s' * (n_folds > 1)}.",
        "",
        f"| metric | holdout ({job.split.n_holdout:,} rows) | 95 % interval | constant | linear |",
        "|---|---|---|---|---|",
        *rows,
        "",
        *(one.in_words() for one in (evaluation.corrected, evaluation.nested) if one is not None),
        *(f"- {note}" for note in (*job.prepared.notes, *job.split.notes, *filter(None, [trained.note]))),
    ]
    return "\n".join(lines)


def log_rung(tracker: Tracker, made: Rung, metric: str) -> None:
    """What a strategy came to, in its own run."""
    assert made.folds is not None
    kept = {} if made.kept is None else {"source_before": made.kept.before, "source_after": made.kept.after}
    tracker.metrics({
        f"cv_{metric}": fmean(made.folds.values()), f"training_{metric}": made.training, "seconds": made.seconds,
        "parameters": made.n_parameters, "parameters_trained": made.n_trained, **kept,
    })  # fmt: skip


def ends(name: str, given: Interval | HoldoutScore | Number) -> dict[str, float]:
    return {name: given.value, f"{name}_low": given.low, f"{name}_high": given.high}
