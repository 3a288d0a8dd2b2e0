"""Warm start: the best trials of an earlier study become the first ones of another."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import inf
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from tasks import tracking
from tasks.refusal import Refusal
from tasks.search import FAMILY, Setting, excess
from tasks.study import JOURNAL, loaded

N_BEST = 5  # as many as a small portfolio holds: more would spend a small budget on what is known
FAMILIES = "families"  # what a study remembers of its families' names
MLFLOW_RUN = re.compile(r"[0-9a-f]{32}")
STUDY = re.compile(r"([0-9a-f]{16})-(\d+)")


def warm_start(asked: str, families: Sequence[str], studies: Path, tracking_uri: str | None) -> list[Setting]:
    """The settings of an earlier study's best complete trials, best first and none twice, for those of `families`
    that it searched.

    asked: the study's folder, its name (DIGEST-NUMBER) or the id of the MLflow run that tracks it. Hyperparameters that
    were fixed then are not among them, and take this study's start.

    Raises:
        Refusal: where there is no such study, none of its trials is complete, or it searched other families.
    """
    study = _read(asked, _folder(asked, studies, tracking_uri))
    theirs = study.user_attrs.get(FAMILIES, [])
    if not set(theirs) & set(families):
        raise Refusal(
            f"search.warm_start={asked}: that study searched {', '.join(theirs) or 'families that it does not name'}, "
            f"this one searches {', '.join(families)}; name one that shares a family, or leave search.warm_start out."
        )
    trials = study.get_trials(deepcopy=False)
    complete = [one for name in families for one in _complete([it for it in trials if _setting(it, theirs)[0] == name])]
    if not complete:
        raise Refusal(f"search.warm_start={asked}: none of that study's trials is complete; finish it first.")
    is_higher_better = study.direction == optuna.study.StudyDirection.MAXIMIZE
    complete.sort(key=lambda trial: trial.value or 0.0, reverse=is_higher_better)
    complete.sort(key=excess)
    best: dict[str, Setting] = {}
    for family, values in (_setting(trial, theirs) for trial in complete):
        if family in families and len(best) < N_BEST:
            best.setdefault(repr((family, sorted(values.items()))), (family, values))
    return list(best.values())


def _folder(asked: str, studies: Path, tracking_uri: str | None) -> Path:
    name = tracking.study_of(asked, tracking_uri) if MLFLOW_RUN.fullmatch(asked) else asked
    named = STUDY.fullmatch(name)
    return studies / named[1] / named[2] if named else Path(name).expanduser()


def _read(asked: str, folder: Path) -> optuna.Study:
    journal = folder / JOURNAL
    if not journal.is_file():
        raise Refusal(
            f"search.warm_start={asked}: there is no study at {folder}; name a folder such as data/studies/DIGEST/1, "
            "a study as DIGEST-1, or the id of its MLflow run."
        )
    try:
        return loaded(folder)
    except (KeyError, ValueError) as error:
        raise Refusal(f"search.warm_start={asked}: {journal} holds no study that can be read: {error}") from error


def _complete(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Those of a family that ran on all rows and every fold, or on the most of both that any of it did: scores of
    samples are on another scale, and a dear family may have begun on one fold beside others that began on all. One that
    was stopped early is told with an estimate."""
    told = [trial for trial in trials if trial.state == TrialState.COMPLETE and trial.value is not None]
    evidence = [(trial.user_attrs.get("n_rows", inf), len(trial.user_attrs.get("folds", ()))) for trial in told]
    return [trial for trial, one in zip(told, evidence, strict=True) if one == max(evidence)]


def _setting(trial: FrozenTrial, families: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """As `Space.setting`, for a study whose space is not known."""
    if FAMILY not in trial.params:
        return families[0], dict(trial.params)
    family = str(trial.params[FAMILY])
    named = {name.partition(".")[::2]: value for name, value in trial.params.items() if name != FAMILY}
    return family, {key: value for (owner, key), value in named.items() if owner == family}
