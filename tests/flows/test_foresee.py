"""What is foreseen of the time after a search's trials: kept for the final fit, the finalists and an ensemble."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from on_iris import FAST
from searching import SHORT, WHOLE, Searching
from wrapped import InEpochs

from flows.budget import Budget
from flows.config import compose
from flows.foresee import Foresight
from flows.plan import plan
from tasks import fold_model
from tasks.combine import MARGIN_OF_ALL
from tasks.evidence import Ladder, Rung
from tasks.metric import METRICS
from tasks.records import FoldScore, Proposal, TrialResult


def test_a_budget_keeps_time_for_the_final_fit_for_confirming_and_for_an_ensemble(on_iris: Searching) -> None:
    planned = plan(compose([*FAST, "ensemble=greedy"]))
    here = replace(on_iris.experiment, folder=str(on_iris.studies / "budgeted"))
    deadlines = {}
    for name, ladder, ensemble, n_workers in (
        ("alone", WHOLE, None, 2), ("combined", WHOLE, planned.ensemble, 2), ("shared", WHOLE, None, 2),
        ("one by one", WHOLE, planned.ensemble, 1), ("confirmed", SHORT, None, 2), ("slower", SHORT, None, 1),
    ):  # fmt: skip
        ahead = Foresight(here, ladder, Budget(0.0, 60.0, 1), ensemble, n_workers)
        results = []
        rows, n_folds = (None, 3) if ladder is WHOLE else (20, 1)
        alone = 2.0 if name == "shared" else None
        folds = tuple(FoldScore(fold, 0.5, 0.5, 10, 1.0, alone=alone) for fold in range(n_folds))
        for number in range(4 if name == "one by one" else 1):
            given = {**here_start(planned), "num_leaves": 4 + number}
            proposal = Proposal(number, "lightgbm", given, rows, None if rows is None else 1)
            results.append(TrialResult(proposal, folds))
        deadlines[name] = ahead.deadline(results)
    final = 60 - deadlines["alone"]
    assert final > 1
    # No models of the made-up trials are kept, so that their three folds of a second each must be fitted again,
    # in the place of a final fit: those of one trial two at a time, and those of four, which take longer.
    assert 3 / 2 < final < 12
    assert deadlines["alone"] - deadlines["combined"] == pytest.approx(0, abs=0.1)
    assert deadlines["alone"] - deadlines["one by one"] == pytest.approx(MARGIN_OF_ALL * 12 - final, abs=0.3)
    # Three folds of four times the rows, two at a time; and on one worker one after the other. Of a final fit that
    # would take more than a quarter of the budget that quarter is kept: with larger steps it takes no longer.
    assert 4 * final > 60 / 4
    assert 60 - deadlines["confirmed"] == pytest.approx(60 / 4 + 2 * 4.0)
    assert 60 - deadlines["slower"] == pytest.approx(60 / 4 + 3 * 4.0)
    assert 60 - deadlines["shared"] == pytest.approx(2 * final)  # of folds that were trained as one


def test_other_families_are_judged_whole_after_samples_for_complete_trials_alone_and_where_they_were_before(
    on_iris: Searching, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = plan(compose([*FAST, "ensemble=greedy"]))
    families = dict.fromkeys(("lightgbm", "other"), on_iris.experiment.families["lightgbm"])
    here = replace(on_iris.experiment, families=families)

    def finalists(n_rows: int | None, *, is_combined: bool, known: dict[str, list[int]] | None = None) -> list[str]:
        ladder = Ladder((Rung(n_rows, 1), Rung()), 80)
        budget = Budget(0.0, 60.0, 1, confirming=known)
        ahead = Foresight(here, ladder, budget, planned.ensemble if is_combined else None, 2)
        fold = FoldScore(0, 0.5, 0.5, 10, 1.0)
        results = [
            TrialResult(Proposal(number, name, here_start(planned), n_rows, 1), (replace(fold, value=0.5 + number),))
            for number, name in enumerate(families)
        ]
        best = max(results, key=lambda one: METRICS[here.metric].sign * one.score)
        return [one.proposal.family for one in ahead.finalists(results, best)]

    assert len(finalists(20, is_combined=False)) == 2
    assert len(finalists(None, is_combined=False)) == len(finalists(None, is_combined=True)) == 1
    assert len(finalists(None, is_combined=True, known={"lightgbm": [0, 1, 2], "other": [0]})) == 2
    monkeypatch.setattr(fold_model, "are_bagged", lambda _: False)
    assert len(finalists(None, is_combined=True)) == 2


def test_where_trials_begin_on_one_fold_an_ensemble_s_members_are_foreseen_on_the_others_in_a_quarter_of_the_budget(
    on_iris: Searching,
) -> None:
    planned = plan(compose([*FAST, "ensemble=greedy"]))
    here = replace(on_iris.experiment, folder=str(on_iris.studies / "begun"))
    ahead = Foresight(here, Ladder((Rung(None, 1), Rung()), 80), Budget(0.0, 60.0, 1), planned.ensemble, 2)

    def kept(seconds: float) -> float:
        """Beside choosing and fitting the models of four trials that were judged on one fold alone."""
        fold = FoldScore(here.order[0], 0.5, 0.5, 10, seconds)
        results = [
            TrialResult(Proposal(n, "lightgbm", here_start(planned) | {"num_leaves": 4 + n}, None, 1), (fold,))
            for n in range(4)
        ]
        ahead_of_final, ahead_of_none = (ahead.combining_seconds(results, [], final) for final in (1e-9, 1e9))
        return ahead_of_final - ahead_of_none - MARGIN_OF_ALL * 4 * seconds / 2

    assert kept(1.0) == pytest.approx(4 * 2 * 1.0 / 2, rel=0.02)
    assert kept(10.0) == pytest.approx(60 / 4, rel=0.02)


def test_for_an_ensemble_that_was_chosen_no_more_time_is_kept_than_its_members_need(on_iris: Searching) -> None:
    planned = plan(compose([*FAST, "ensemble=greedy"]))
    here = replace(on_iris.experiment, folder=str(on_iris.studies / "members"))
    ahead = Foresight(here, Ladder((Rung(None, 1), Rung()), 80), Budget(0.0, 60.0, 1), planned.ensemble, 2)
    fold = FoldScore(here.order[0], 0.5, 0.5, 10, 1.0)
    results = [
        TrialResult(Proposal(n, "lightgbm", here_start(planned) | {"num_leaves": 4 + n}, None, 1), (fold,))
        for n in range(4)
    ]
    none, one, every = (ahead.combining_seconds(results, [], 1e-9, [[], results[:n]]) for n in (0, 1, 4))
    # The model of its fold, and two folds more, by two workers.
    assert one - none == pytest.approx((MARGIN_OF_ALL + 2) * 1.0 / 2, rel=0.02)
    assert every == pytest.approx(ahead.combining_seconds(results, [], 1e-9), rel=0.02)
    deadlines = [ahead.deadline(results, [[], results[:n]]) for n in (0, 1)]
    assert None not in deadlines
    assert deadlines[1] < deadlines[0] or one < ahead.least_seconds(results[0])


def test_beside_a_family_that_began_on_all_folds_another_s_best_is_judged_there_if_it_is_better_on_its_fold(
    on_iris: Searching,
) -> None:
    planned, here = plan(compose([*FAST])), on_iris.experiment
    families = dict.fromkeys(("lightgbm", "other"), here.families["lightgbm"])
    ladder = Ladder((Rung(None, 1), Rung()), 80, whole=frozenset({"lightgbm"}))
    ahead = Foresight(replace(here, families=families), ladder, Budget(0.0, 60.0, 1), None, 2)
    of_folds = {fold: FoldScore(fold, 0.3 + fold / 10, 0.5, 10, 1.0) for fold in range(3)}
    best = TrialResult(Proposal(0, "lightgbm", here_start(planned)), tuple(of_folds.values()))
    there = of_folds[here.order[0]]

    def finalists(value: float) -> list[str]:
        begun = TrialResult(Proposal(1, "other", here_start(planned), None, 1), (replace(there, value=value),))
        return [one.proposal.family for one in ahead.finalists([best, begun], best)]

    assert finalists(there.value - 0.01) == ["other"]  # log-loss
    assert finalists(there.value + 0.01) == []


@pytest.mark.parametrize("ladder", [WHOLE, SHORT], ids=["whole", "short"])
def test_what_a_net_took_to_be_scored_after_each_epoch_is_no_part_of_its_final_fit(
    on_iris: Searching, ladder: Ladder
) -> None:
    """A fold has half as many validation rows as training rows, whole or a quarter of it."""
    planned, growth = plan(compose([*FAST])), on_iris.experiment.growth
    families: dict[str, Any] = {name: InEpochs(family) for name, family in on_iris.experiment.families.items()}
    rows, n_folds = (None, 3) if ladder is WHOLE else (20, 1)
    ahead = Foresight(replace(on_iris.experiment, families=families), ladder, Budget(0.0, 60.0, 1), None, 2)
    folds = tuple(FoldScore(fold, 0.5, 0.5, 10, 1.0) for fold in range(n_folds))
    proposal = Proposal(0, "lightgbm", here_start(planned), rows, None if rows is None else 1)
    _, rounds = families["lightgbm"].final(proposal.hyperparameters, 100)
    more_rows = growth * (1 if rows is None else 4)
    expected = more_rows * rounds / 100 / (1 + 0.5 / 3)
    assert ahead.final_seconds(TrialResult(proposal, folds)) == pytest.approx(expected)


def here_start(planned: Any) -> dict[str, Any]:
    space = planned.space.families["lightgbm"]
    return {**space.fixed, **space.start}
