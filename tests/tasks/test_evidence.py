"""Evidence: a table that the budget pays for is judged whole; of others cheap evidence comes first."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from optuna.trial import create_trial

from flows.build import build
from flows.config import compose
from tasks.evidence import ETA, SHARE_OF_THE_FIT, Ladder, Rung, ladder, on_rung
from tasks.model.lightgbm import MOST_OF_A_STEP, LightGBM
from tasks.records import FoldScore, Proposal, TrialResult


def lightgbm() -> LightGBM:
    built: LightGBM = build(compose([]).config.model["lightgbm"], "model.lightgbm")
    return built


def result(number: int, score: float, n_rows: int | None = 2_000, estimate: float | None = None) -> TrialResult:
    proposal = Proposal(number, "lightgbm", {"num_leaves": number + 2}, n_rows, 1 if n_rows else None)
    n_folds = 1 if n_rows else 5
    return TrialResult(proposal, tuple(FoldScore(k, score, 0.0, 1, 0.0) for k in range(n_folds)), estimate=estimate)


def affordable(family: LightGBM, n_rows: int, n_columns: int, n_classes: int, seconds: float | None) -> LightGBM:
    """As the plan has it."""
    return family if seconds is None else family.affordable(SHARE_OF_THE_FIT * seconds, n_rows, n_columns, n_classes)


def rungs(n_rows: int, n_columns: int, n_classes: int, seconds: float | None) -> Ladder:
    families: dict[str, Any] = {"lightgbm": affordable(lightgbm(), n_rows, n_columns, n_classes, seconds)}
    return ladder(families, round(0.8 * n_rows), n_columns, n_classes, 5, seconds, n_valid=0.2 * n_rows)


def test_a_search_that_counts_trials_judges_each_on_everything() -> None:
    assert rungs(5_000_000, 30, 2, None) == Ladder()


def test_a_table_that_the_budget_pays_for_has_one_rung() -> None:
    for n_rows, n_columns in ((5_600, 19), (16_500, 9), (39_000, 14)):
        assert rungs(n_rows, n_columns, 2, 60).rungs == (Rung(),)


def test_a_table_that_is_large_for_its_budget_begins_with_samples_and_one_fold() -> None:
    """30,000 rows, 54 columns and 7 classes in half a minute."""
    found = rungs(24_000, 54, 7, 30).rungs
    assert found[0].n_folds == 1
    assert found[-1].n_folds is None
    sizes = [rung.n_rows or 19_200 for rung in found]
    assert sizes == sorted(sizes)
    assert 2_000 <= sizes[0] < 19_200


def test_a_fold_in_time_is_enough_by_the_rows_that_it_validates() -> None:
    """78,000 rows in six spans: a fold learns from 39,000 of them, and is judged on 13,000."""
    families: dict[str, Any] = {"lightgbm": affordable(lightgbm(), 78_000, 54, 7, 60)}
    enough, few = (ladder(families, 39_000, 54, 7, 5, 60, n_valid=n) for n in (13_000, 4_000))
    assert enough.rungs[-1] == Rung(None, 1) != few.rungs[-1]


def test_where_a_fold_has_much_to_be_judged_on_all_rows_come_before_all_folds() -> None:
    """93,000 rows, 54 columns and 7 classes in a minute."""
    assert rungs(74_000, 54, 7, 60).rungs == (Rung(14_800, 1), Rung(None, 1))
    assert rungs(74_000, 54, 7, 20).rungs[-1].n_rows is not None  # of which it doesn't pay for all


def test_a_whole_fold_of_a_wide_table_takes_less_than_its_rows_say() -> None:
    found = rungs(24_000, 150, 5, 30)
    sample = found.rungs[0].n_rows
    assert sample is not None
    assert 1.5 < found.scale(Proposal(0, "lightgbm", {}, sample, 1)) < 0.7 * found.n_rows / sample
    assert found.scale(Proposal(0, "lightgbm", {})) == 1


def test_a_whole_fold_is_reckoned_from_a_sample_as_its_own_family_has_it() -> None:
    """Of 54 columns and 7 classes trees on a sample have much that is there whatever the rows; another has none."""
    trees = lightgbm()
    linear = SimpleNamespace(seconds=lambda n_rows, n_columns, n_classes: n_rows / 10_000)
    families: dict[str, Any] = {"lightgbm": trees.affordable(15, 72_000, 54, 7), "other": linear}
    found = ladder(families, 57_600, 54, 7, 5, 60, n_valid=14_400)
    of_trees, of_other = (found.scale(Proposal(0, name, {}, 14_400, 1)) for name in families)
    assert of_trees < 3
    assert of_other == pytest.approx(4)


@pytest.mark.parametrize(
    ("dear", "steps", "next_"),
    [(5.0, "1 fold of 32,000 rows, then 5 folds of 32,000 rows; of cheap 5 folds", (1, Rung())),
     (9.0, "1 fold of 32,000 rows; of cheap 5 folds", None)],
    ids=["dear", "too dear for all folds"],
)  # fmt: skip
def test_a_family_that_the_budget_pays_all_folds_for_begins_on_these_beside_one_that_begins_on_a_fold(
    dear: float, steps: str, next_: tuple[int, Rung] | None
) -> None:
    """Of a minute: 5 folds of 1 s, beside 5 of 5 s or 9 s; a fold of 8,000 rows is enough to be judged on."""
    families: dict[str, Any] = {
        name: SimpleNamespace(seconds=lambda n_rows, n_columns, n_classes, it=it: it * n_rows / 32_000)
        for name, it in (("cheap", 1.0), ("dear", dear))
    }
    found = ladder(families, 32_000, 10, 2, 5, 60, n_valid=8_000)
    assert found.rungs == (Rung(None, 1), Rung())
    assert (found.first("cheap"), found.first("dear")) == (Rung(), Rung(None, 1))
    assert steps in found.described(5)
    one = FoldScore(0, 0.5, 0.0, 1, 0.0)
    begun = [TrialResult(Proposal(n, "dear", {"n": n}, None, 1), (replace(one, value=abs(n - 1)),)) for n in range(4)]
    asked = [result.proposal for result in begun]
    assert found.promoted(asked, begun, is_higher_better=False) == next_
    alone = ladder({"dear": families["dear"]}, 32_000, 10, 2, 5, 60, n_valid=8_000)
    assert alone.first("dear") == Rung(None, 1)
    sampled = ladder(families, 320_000, 10, 2, 5, 60, n_valid=80_000)
    assert sampled.rungs[0].n_rows is not None
    assert sampled.first("cheap") == sampled.rungs[0]


def test_a_larger_budget_buys_more_evidence() -> None:
    tops = [rungs(74_000, 54, 7, seconds).rungs[-1].n_rows or 59_200 for seconds in (60, 600, 6_000)]
    assert tops == sorted(tops)
    assert tops[-1] == 59_200


def test_a_final_fit_that_the_budget_can_not_pay_for_gets_fewer_rounds() -> None:
    few = affordable(lightgbm(), 74_000, 54, 7, 60)
    assert 50 <= few.rounds < 300
    assert few.final_step == MOST_OF_A_STEP
    assert affordable(replace(lightgbm(), final_step=1.0), 74_000, 54, 7, 60).final_step == 1
    assert few.start["learning_rate"] == 0.2
    fixed = replace(lightgbm(), hyperparameters={**lightgbm().hyperparameters, "learning_rate": 0.05})
    assert affordable(fixed, 74_000, 54, 7, 60).start["learning_rate"] == 0.1
    assert few.seconds(74_000, 54, 7) * few.rounds / 300 < 60
    assert affordable(lightgbm(), 5_600, 19, 2, 60).rounds == lightgbm().rounds
    assert affordable(lightgbm(), 74_000, 54, 7, None).rounds == lightgbm().rounds
    between = affordable(lightgbm(), 200_000, 14, 2, 60)
    assert lightgbm().final_step < between.final_step < 1
    assert (between.rounds, between.start) == (lightgbm().rounds, lightgbm().start)


LADDER = Ladder((Rung(2_000, 1), Rung()), n_rows=8_000)


def test_a_quarter_goes_on_the_best_first_and_each_once() -> None:
    told = [result(n, score) for n, score in enumerate((0.5, 0.9, 0.6, 0.7, 0.8, 0.4, 0.3, 0.2))]
    asked = [one.proposal for one in told]
    assert len(told) // ETA == 2
    assert LADDER.promoted(asked, told[:3], is_higher_better=True) is None
    assert LADDER.promoted(asked, told, is_higher_better=True) == (1, Rung())
    asked += [Proposal(8, "lightgbm", asked[1].hyperparameters)]
    assert LADDER.promoted(asked, told, is_higher_better=True) == (4, Rung())
    asked += [Proposal(9, "lightgbm", asked[4].hyperparameters), Proposal(10, "lightgbm", asked[0].hyperparameters)]
    assert LADDER.promoted(asked, told, is_higher_better=True) is None
    assert LADDER.promoted(asked[:8], told, is_higher_better=False) == (7, Rung())


def test_the_start_follows_the_first_that_goes_on_so_that_nothing_wins_unheld_against_it() -> None:
    told = [result(n, score) for n, score in enumerate((0.1, 0.9, 0.6, 0.7))]
    asked = [one.proposal for one in told]
    assert LADDER.promoted(asked[:3], told[:3], is_higher_better=True) is None
    assert LADDER.promoted(asked, told, is_higher_better=True) == (1, Rung())
    asked += [Proposal(4, "lightgbm", asked[1].hyperparameters)]
    assert LADDER.promoted(asked, told, is_higher_better=True) == (0, Rung())
    asked += [Proposal(5, "lightgbm", asked[0].hyperparameters)]
    assert LADDER.promoted(asked, told, is_higher_better=True) is None


def test_what_racing_ended_or_what_failed_never_goes_on() -> None:
    told = [result(0, 0.5), result(1, 0.9, estimate=0.9), result(2, 0.4), result(3, 0.3)]
    assert LADDER.promoted([one.proposal for one in told], told, is_higher_better=True) is None


def test_only_trials_of_the_highest_rung_can_win() -> None:
    low, high = result(0, 0.9), result(1, 0.7, n_rows=None)
    assert LADDER.top([low], 5) == [low]
    assert LADDER.top([low, high], 5) == [high]


def test_what_exceeds_a_limit_neither_goes_on_nor_wins() -> None:
    told = [result(n, score) for n, score in enumerate((0.5, 0.9, 0.6, 0.7, 0.4, 0.3, 0.2, 0.1))]
    told[1] = replace(told[1], excess={"megabytes": 0.01, "milliseconds": -0.5})
    assert LADDER.promoted([one.proposal for one in told], told, is_higher_better=True) == (3, Rung())
    high = replace(result(8, 0.9, n_rows=None), excess={"megabytes": 0.01})
    assert LADDER.top([told[0], high], 5) == [told[0]]


def test_a_trial_on_the_next_rung_begins_without_what_its_sample_exceeded() -> None:
    asked = {"finefold:generation": 2}
    trial = create_trial(value=0.5, system_attrs={**asked, "constraints:megabytes": 0.3})
    assert trial.constraints == {"megabytes": 0.3}
    assert on_rung(trial, Rung()).system_attrs == asked
