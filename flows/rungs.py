"""Rungs: what of a ladder can be tried, a first look at each, and those tuned that are worth it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import TypeVar

from flows import config as configs
from flows import screen
from flows.decide import Job
from flows.multirun import CHOICE_TAG
from flows.overrides import key_of, knob_of
from flows.plan import Plan, plan
from flows.record import tagged
from flows.rung import Look, Searched, look, rung, searched
from flows.searching import job_for
from tasks import tracking
from tasks.climb import Rung
from tasks.folds import read_folds
from tasks.metric import METRICS
from tasks.model import beside
from tasks.refusal import Refusal, did_you_mean
from tasks.search.grid import Grid
from tasks.strategy.ladder import SHARE_OF_ROUNDS, Ladder, best_of, cheapest, chosen, rounds

T = TypeVar("T")
GOES_ON = "resume=auto"  # whatever was asked for: from what this very climb has computed


@dataclass(frozen=True)
class Ground:
    """What all rungs stand on. rungs: the overrides of each strategy that can be tried, and what they build; passed:
    why others can't. rho: validation rows per training row of a fold."""

    ladder: Ladder
    rungs: Mapping[str, tuple[list[str], Plan]]
    passed: Mapping[str, str]
    job: Job
    base: Path | None
    rho: float


def ground_of(ladder: Ladder, overrides: Sequence[str]) -> Ground:
    """
    Raises:
        Refusal: where no rung can be tried, or none has a hyperparameter that is given.
    """
    own = [text for text in overrides if key_of(text).partition(".")[0] != "strategy"]
    knobs = [text for text in overrides if knob_of(text)]
    rungs, passed, known = {}, {}, set[str]()
    for name in ladder.rungs:
        texts = [*own, f"strategy={name}"]
        try:
            composed = configs.compose(texts)
            if knobs:
                has = composed.config.strategy.get("hyperparameters", {})
                known |= set(has)
                texts += [text for text in knobs if knob_of(text) in has]
                composed = configs.compose(texts)
            rungs[name] = texts, plan(composed)
        except Refusal as refusal:
            passed[name] = "; ".join(refusal.faults)
    if unknown := [text for text in knobs if knob_of(text) not in known]:
        raise Refusal(*(f"{text}: no rung has it{did_you_mean(knob_of(text), known)}" for text in unknown))
    job, base = _first_job(rungs, passed)
    folds = read_folds(Path(job.split.folder))
    return Ground(ladder, rungs, passed, job, base, fmean(len(valid) / len(train) for train, valid in folds))


def _first_job(rungs: dict[str, tuple[list[str], Plan]], passed: dict[str, str]) -> tuple[Job, Path | None]:
    """Of the first rung that can go on from the base with this table; those before it are passed by.

    Raises:
        Refusal: where there is none.
    """
    faults: list[str] = []
    for name, (overrides, _) in list(rungs.items()):
        try:
            return job_for(overrides)
        except Refusal as refusal:
            faults += refusal.faults
            passed[name] = "; ".join(refusal.faults)
            del rungs[name]
    raise Refusal(*dict.fromkeys(faults or passed.values()))


def tried(ground: Ground, parent: str) -> tuple[list[Rung], str]:
    """What the rungs came to in their order, and why climbing ended before the last one, or nothing. Each is looked at
    first, by the trial that its search begins with; then those are tuned that came within reach of the best look."""
    looks, passed, ended = _looks(ground)
    found = _tuned(ground, {name: looks[name] for name in ground.ladder.rungs if name in looks})
    rungs = passed | {name: _made(ground, name, one, parent) for name, one in found.items()}
    return [rungs[name] for name in ground.ladder.rungs], ended


def asked(ground: Ground, name: str, n_trials: int) -> list[str]:
    """The overrides of a run of that strategy with so many trials; a grid is always searched whole."""
    overrides, planned = ground.rungs[name]
    limit = [] if isinstance(planned.search, Grid) else [f"search.trials={n_trials}"]
    return [*overrides, *limit, GOES_ON]


def _tuned(ground: Ground, looks: Mapping[str, Look]) -> dict[str, Searched]:
    """What the rungs came to, once those within reach of the best look were tuned: in rounds, each for the better half
    of the last one, and then all the way the one that would be chosen. A round has its share of `search.seconds`."""
    metric, rho = ground.job.decided.metric, ground.rho
    found = {name: Searched(one.values, 1, one.megabytes) for name, one in looks.items()}
    most = {name: _most_trials(ground, name) for name in found}

    def values() -> dict[str, Mapping[int, float]]:
        return {name: one.values for name, one in found.items()}

    def go_on(name: str, n_trials: int, share: float) -> None:
        """A rung that fails stays as it was."""
        if n_trials > found[name].n_trials:
            further = _further(ground, name, n_trials, share)
            if isinstance(further, Searched):
                found[name] = replace(further, megabytes=max(further.megabytes, found[name].megabytes))

    best = found[best_of(values(), metric)].values if found else {}
    near = [name for name, one in found.items() if ground.ladder.is_within_reach(one.values, best, metric, rho)]
    steps = rounds(len(near), max((most[name] for name in near), default=1) - 1)
    for size, more in steps:
        near = sorted(near, key=lambda name: -METRICS[metric].sign * fmean(found[name].values.values()))[:size]
        for name in near:
            go_on(name, min(found[name].n_trials + more, most[name]), SHARE_OF_ROUNDS / (len(steps) * size))
    whole: set[str] = set()
    while found and (taken := chosen(values(), metric, rho)) not in whole:
        whole.add(taken)
        go_on(taken, most[taken], 1.0)
    return found


def _looks(ground: Ground) -> tuple[dict[str, Look], dict[str, Rung], str]:
    """The rungs that were looked at on all folds, those that were passed by, and why climbing ended before the last
    one, or nothing. Of dear rungs, which are looked at on one fold, one at most goes on to all of them."""
    looks: dict[str, Look] = {}
    passed, ended = {name: Rung(name, why) for name, why in ground.passed.items()}, ""
    dear = [name for name in ground.rungs if _is_dear(ground, name)]
    for name in ground.rungs:
        if name not in dear and not ended:
            found = _look(ground, name, None)
            looks |= {name: found} if isinstance(found, Look) else {}
            passed |= {name: Rung(name, found)} if isinstance(found, str) else {}
            ended = _ended(ground, looks)
    if dear and not ended:
        _look_at_dear(ground, dear, looks, passed)
    left = [name for name in ground.rungs if name not in looks and name not in passed]
    return looks, passed | {name: Rung(name, f"not tried: {ended}") for name in left}, ended


def _ended(ground: Ground, looks: Mapping[str, Look]) -> str:
    scores = [(name, one.values) for name, one in looks.items()]
    if ground.ladder.is_over(scores, ground.job.decided.metric, ground.rho):
        return f"{ground.ladder.patience} dearer steps in a row brought no gain"
    return ""


def _is_dear(ground: Ground, name: str) -> bool:
    return _trial_seconds(ground, name) > ground.ladder.trial_seconds


def _look_at_dear(ground: Ground, names: Sequence[str], looks: dict[str, Look], passed: dict[str, Rung]) -> None:
    """Each is looked at on one fold; the cheapest than which no other has clearly lower losses there goes on to all
    folds, where it is better there than every rung in `looks`. To which it is added, and to `passed` the others."""
    found = {name: _look(ground, name, 1) for name in names}
    passed |= {name: Rung(name, one) for name, one in found.items() if isinstance(one, str)}
    seen = {name: one for name, one in found.items() if isinstance(one, Look)}
    if not seen:
        return
    metric, taken = ground.job.decided.metric, cheapest({name: one.losses for name, one in seen.items()})
    sign, fold = METRICS[metric].sign, seen[taken].fold
    is_better = all(sign * seen[taken].values[fold] > sign * one.values[fold] for one in looks.values())
    what = f"{taken} goes on from there" if is_better else "no better there than a cheaper one"
    for name, one in seen.items():
        score = f"{metric} {screen.short(one.values[fold])} on fold {fold}"
        why = f"{score}, looked at alone ({one.seconds:.1f} s); {what}"
        passed[name] = Rung(name, why, n_trials=1, seconds=one.seconds, megabytes=one.megabytes)
    whole = _look(ground, taken, None, GOES_ON) if is_better else None
    if isinstance(whole, Look):
        looks[taken] = whole
        del passed[taken]
    elif whole is not None:
        passed[taken] = replace(passed[taken], error=whole)


def _look(ground: Ground, name: str, n_folds: int | None, *more: str) -> Look | str:
    """At the first trial of a rung; or why it is passed by. more: overrides of this look alone."""
    on = f" on {n_folds} fold, for a trial is dear by a rule of thumb" if n_folds else ""
    screen.say(f"strategy {name}: a first look{on}", "bold")
    found = _caught(name, lambda: look([*ground.rungs[name][0], *more], name, n_folds))
    if isinstance(found, Look):
        screen.say(f"{name}: {ground.job.decided.metric} {screen.short(fmean(found.values.values()))}")
    return found


def _most_trials(ground: Ground, name: str) -> int:
    """That a rung may get: one where nothing is searched, and fewer where trials are dear, but for a grid."""
    planned = ground.rungs[name][1]
    if not any(one.free for one in planned.space.families.values()):
        return 1
    if isinstance(planned.search, Grid):
        return planned.n_trials
    return ground.ladder.n_trials(planned.n_trials, _trial_seconds(ground, name))


def _further(ground: Ground, name: str, n_trials: int, share: float) -> Searched | str:
    """A rung searched until it has had so many trials, within that share of `search.seconds`; or why it was not."""
    screen.say(f"strategy {name}: up to {n_trials} trials")
    overrides, most = [*ground.rungs[name][0], GOES_ON], _most_trials(ground, name)
    return _caught(name, lambda: searched(overrides, name, n_trials, most, share), "goes no further")


def _made(ground: Ground, name: str, found: Searched, parent: str) -> Rung:
    """A rung with the final fit of the best of its trials; one that fails is passed by."""
    screen.say(f"strategy {name}" + ("" if found.n_trials > 1 else ": one trial"), "bold")
    with tagged({tracking.PARENT_TAG: parent, CHOICE_TAG: name, "finefold.rung": name}):
        made = _caught(name, lambda: rung([*ground.rungs[name][0], GOES_ON], name, found.n_trials))
    if isinstance(made, str):
        return Rung(name, made)
    return replace(made, megabytes=max(made.megabytes, found.megabytes))


def _caught(name: str, call: Callable[[], T], what: str = "is passed by") -> T | str:
    """What the call gives, or why it doesn't. What the machine does (a full disk, no memory) ends all."""
    try:
        return call()
    except (OSError, MemoryError):
        raise
    except Refusal as refusal:
        error = "; ".join(refusal.faults)
    screen.say(f"{name} {what}: {error}", "yellow")
    return error


def _trial_seconds(ground: Ground, name: str) -> float:
    """Of a trial of the rung on one core, by its family's rule of thumb."""
    job = ground.job
    n_rows, n_classes = round(job.split.n_train / job.split.growth), len(job.prepared.problem.classes)
    families = [beside(family, ground.base) for family in ground.rungs[name][1].families.values()]
    return job.split.n_folds * max(family.seconds(n_rows, job.prepared.n_dense, n_classes) for family in families)
