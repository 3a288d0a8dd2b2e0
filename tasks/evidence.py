"""Evidence: on how many rows and folds a trial is judged. Where the budget is small for the table, the search buys
cheap evidence first, and what looks best there is tried again on more, up to all rows and folds.

Who goes on is decided as in asynchronous successive halving (Li et al. 2020, algorithm 2), but from the trials told in
order, never from the clock: the same seed and budget give the same trials on any machine, or a prefix of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from math import inf

from optuna.trial import FrozenTrial, TrialState, create_trial

from tasks.model import Model
from tasks.records import Proposal, TrialResult
from tasks.search import Space, noted_when_asked

ETA = 4  # reduction factor, Li et al. 2020: a share of 1/ETA goes on to a rung that costs about ETA times as much
N_TRIALS = 6  # of the first rung that the budget shall pay for, on one core and without racing
SHARE_OF_A_TRIAL = 1 / 2  # of the budget: what a trial on all folds may take, on one core
SHARE_OF_A_FOLD = 1 / 4  # of the budget: what one fold of all rows may take on one core, to be judged on that alone
SHARE_OF_CONFIRMING = 1 / 3  # of the budget: what all folds of the winner may take where no trial came so far
SHARE_OF_COMPLETING = 1 / 4  # of the budget: what the other folds of an ensemble's members may take
SHARE_OF_THE_FIT = 1 / 4  # of the budget: what the final fit on all rows may take, on one core
LEAST_ROWS = 2_000  # of a sample: fewer say too little
LEAST_JUDGED = 5_000  # validation rows of a fold from which on it says enough alone: then more rows to train on tell
# more than more folds of a sample, which favours what learns quickly over what learns well


@dataclass(frozen=True)
class Rung:
    """Training rows of a fold, sampled, and the number of folds; None: all."""

    n_rows: int | None = None
    n_folds: int | None = None


@dataclass(frozen=True)
class Ladder:
    """The rungs, the cheapest first. One rung on all rows and folds is a search as it always was.

    n_rows: training rows of a fold, unsampled. times: of a family and so many rows: how many times as long as on such a
    sample it takes on a whole fold. whole: the families, of several, whose trials are cheap enough to begin on all rows
    and folds, where others begin on one fold. is_climbed: whether trials go on from rung to rung; not where the budget
    pays no other family for all folds.
    """

    rungs: tuple[Rung, ...] = (Rung(),)
    n_rows: int = 0
    times: Mapping[tuple[str, int], float] = field(default_factory=dict)
    whole: frozenset[str] = frozenset()
    is_climbed: bool = True

    def first(self, family: str) -> Rung:
        """On which the family's trials begin."""
        return self.rungs[-1] if family in self.whole else self.rungs[0]

    def scale(self, one: Proposal) -> float:
        """How many times as long a whole fold takes as one on the sample that the trial was judged on."""
        return 1.0 if one.n_rows is None else self.times.get((one.family, one.n_rows), self.n_rows / one.n_rows)

    def promoted(
        self, asked: Sequence[Proposal], told: Sequence[TrialResult], *, is_higher_better: bool,
        has_start: bool = True,
    ) -> tuple[int, Rung] | None:  # fmt: skip
        """The number of the trial that goes on, and to which rung; None: the search is to propose a new one. Where one
        has gone on the first trial of all follows it, so that nothing wins that wasn't held against the start.

        asked: all earlier proposals. told: what may be known of them. has_start: whether the first one is a family's
        start, and not the first point of a grid.
        """
        for below in range(len(self.rungs) - 2, -1, -1) if self.is_climbed else ():
            above = self.rungs[below + 1]
            known = [one for one in told if rung_of(one.proposal) == self.rungs[below] and one.error is None]
            known = [one for one in known if one.is_feasible]
            there = [one for one in asked if rung_of(one) == above]
            gone_on = [(one.family, one.hyperparameters) for one in there]
            follows = has_start and any(self.first(one.family) != above for one in there)
            known.sort(key=lambda one: one.score, reverse=is_higher_better)
            start = [one for one in known if follows and one.proposal.hyperparameters == asked[0].hyperparameters
                     and one.proposal.family == asked[0].family]  # fmt: skip
            for result in [*known[: len(known) // ETA], *start]:
                one = result.proposal
                if result.estimate is None and (one.family, one.hyperparameters) not in gone_on:
                    return one.number, above
        return None

    def described(self, n_folds: int) -> str:
        """The ladder in words; nothing where every trial is judged on all rows and folds."""
        if self.rungs == (Rung(),):
            return ""
        first, *others = (self.in_words(rung, n_folds) for rung in self.rungs)
        steps = ", then ".join([first, *others] if self.is_climbed else [first])
        at_once = f"; of {' and '.join(sorted(self.whole))} {others[-1]} at once" if self.whole else ""
        return f"evidence, cheapest first, for this table and search.seconds: {steps}{at_once}"

    def in_words(self, rung: Rung, n_folds: int) -> str:
        n = rung.n_folds or n_folds
        return f"{n} fold{'s' * (n != 1)} of {rung.n_rows or self.n_rows:,} rows"

    def top(self, results: Sequence[TrialResult], n_folds: int) -> list[TrialResult]:
        """The complete trials within the limits, on the highest rung that has any: among them is the winner."""
        for rung in reversed(self.rungs):
            own = [one for one in results if rung_of(one.proposal) == rung and one.is_feasible]
            if complete := [one for one in own if one.is_complete(min(n_folds, rung.n_folds or n_folds))]:
                return complete
        return []


def evidence_of(one: Proposal) -> tuple[float, float]:
    """How many rows and folds a trial is judged on, to compare trials by: more of the former says more."""
    return one.n_rows or inf, one.n_folds or inf


def rung_of(proposal: Proposal) -> Rung:
    return Rung(proposal.n_rows, proposal.n_folds)


def proposal_of(space: Space, trial: FrozenTrial) -> Proposal:
    """The proposal that a study's trial stands for, with the evidence that it is judged on."""
    evidence = trial.user_attrs
    return replace(space.proposal(trial), n_rows=evidence.get("n_rows"), n_folds=evidence.get("n_folds"))


def on_rung(trial: FrozenTrial, rung: Rung) -> FrozenTrial:
    """A new trial with the same hyperparameters, to be judged on that evidence."""
    evidence = {key: value for key, value in asdict(rung).items() if value is not None}
    return create_trial(
        state=TrialState.RUNNING,
        params=trial.params,
        distributions=trial.distributions,
        user_attrs=evidence,
        system_attrs=noted_when_asked(trial),
    )


def ladder(
    families: Mapping[str, Model], n_rows: int, n_columns: int, n_classes: int, n_folds: int, seconds: float | None,
    *, n_valid: float,
) -> Ladder:  # fmt: skip
    """The ladder for a table and a budget, by a rule of thumb on what fits cost: all folds of all rows where the budget
    pays for them, else one fold of all rows where that has enough to be judged on, else all folds of a sample. It is
    for the dearest of several families; those that the budget pays all folds for begin on these, where the others begin
    on one of them: scores of samples would not compare.

    n_rows, n_valid: training and validation rows of a fold. seconds: the budget, or None for one that doesn't count
    them.
    """
    if seconds is None:
        return Ladder()

    def cost(n: int) -> float:
        return max(family.seconds(n, n_columns, n_classes) for family in families.values())

    top, is_one_enough = n_rows, n_valid >= LEAST_JUDGED and cost(n_rows) <= SHARE_OF_A_FOLD * seconds
    while n_folds * cost(top) > SHARE_OF_A_TRIAL * seconds and top // ETA >= LEAST_ROWS and not is_one_enough:
        top //= ETA
    n_of_top = 1 if n_folds * cost(top) > SHARE_OF_A_TRIAL * seconds and is_one_enough else None
    rungs, sample = [Rung(None if top == n_rows else top, n_of_top)], top
    if n_of_top is None and n_folds * cost(top) > seconds / N_TRIALS:
        rungs.append(Rung(rungs[0].n_rows, 1))
    while cost(sample) > seconds / N_TRIALS and sample // ETA >= LEAST_ROWS:
        sample //= ETA
        rungs.append(Rung(sample, 1))
    # Of a wide table each round costs much whatever the rows: four times as many took 2.2 times as long at 150 columns.
    times = {
        (name, n): family.seconds(n_rows, n_columns, n_classes) / family.seconds(n, n_columns, n_classes)
        for name, family in families.items()
        for rung in rungs
        if (n := rung.n_rows) is not None
    }
    whole = [name for name, it in families.items()
             if n_folds * it.seconds(n_rows, n_columns, n_classes) <= seconds / N_TRIALS]  # fmt: skip
    if is_for_few := rungs == [Rung(n_folds=1)] and bool(whole):
        rungs.insert(0, Rung())
    is_by_folds = rungs == [Rung(), Rung(n_folds=1)]
    begun_whole = frozenset(whole if is_by_folds else ())
    return Ladder(tuple(reversed(rungs)), n_rows, times, begun_whole, is_climbed=not is_for_few)
