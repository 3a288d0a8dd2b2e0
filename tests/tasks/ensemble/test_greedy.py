"""Greedy selection: against a slow reference, never worse than the best alone, within its limits, repeatable."""

from __future__ import annotations

from functools import cache
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import log_loss, root_mean_squared_error

from flows.build import build
from flows.config import compose
from tasks.ensemble import Fold, score
from tasks.ensemble.greedy import Greedy
from tasks.metric import METRICS, better

KINDS = {"regression": "rmse", "binary": "roc_auc", "multiclass": "log_loss"}
N_FOLDS, N_ROWS = 3, 40


@cache
def defaults() -> dict[str, Any]:
    return compose(["ensemble=greedy"]).config.ensemble


def greedy(**overrides: Any) -> Greedy:
    built: Greedy = build({**defaults(), **overrides}, "ensemble")
    return built


def folds(kind: str, n_candidates: int, seed: int = 0, weighted: bool = False) -> list[Fold]:
    """Candidates that know the target with errors of their own, the later ones larger."""
    random = np.random.default_rng(seed)
    made = []
    for k in range(N_FOLDS):
        rows = np.arange(k, N_FOLDS * N_ROWS, N_FOLDS)
        n_classes = {"binary": 2, "multiclass": 3}.get(kind, 0)
        y = random.integers(n_classes, size=N_ROWS) if n_classes else random.normal(size=N_ROWS)
        spread = np.linspace(1, 2, n_candidates)[:, None, None]
        noise = spread * random.normal(size=(n_candidates, N_ROWS, n_classes or 1))
        raw = (np.eye(n_classes)[y] if n_classes else y[:, None]) + noise
        predictions = np.exp(raw) / np.exp(raw).sum(axis=2, keepdims=True) if n_classes else raw[:, :, 0]
        weight = random.uniform(0.5, 2, N_ROWS) if weighted else None
        made.append(Fold(rows, y.astype(np.float64), weight, predictions.astype(np.float32)))
    return made


def free(n_candidates: int) -> Any:
    return np.zeros((n_candidates, 2))


def slowly(metric: str, given: list[Fold], size: int, rounds: int) -> Any:
    """The paper's procedure, written down as plainly as can be: lists of names, every mean made anew."""
    n = len(given[0].predictions)

    def of(names: list[int]) -> float:
        values = []
        for fold in given:
            mean = np.mean([fold.predictions[name].astype(np.float64) for name in names], axis=0)
            if metric == "rmse":
                values.append(root_mean_squared_error(fold.y, mean))
            else:
                mean /= mean.sum(axis=1, keepdims=True)  # they are stored in float32
                values.append(log_loss(fold.y, mean, labels=range(mean.shape[1])))
        return float(np.mean(values))

    ranked = sorted(range(n), key=lambda name: of([name]))
    starts = [ranked[:length] for length in range(1, (size + 1) // 2 + 1)]
    names = min(starts, key=of)
    best = names
    for _ in range(rounds):
        may = range(n) if len(set(names)) < size else sorted(set(names))
        names = min(([*names, name] for name in may), key=of)
        best = names if of(names) < of(best) - 1e-12 else best
    return np.bincount(best, minlength=n) / len(best)


@pytest.mark.parametrize("kind", ["regression", "multiclass"])
@pytest.mark.parametrize("size", [2, 6])
def test_it_takes_what_a_slow_and_plain_reference_takes(kind: str, size: int) -> None:
    given = folds(kind, 6)
    weights = greedy(size=size, rounds=12).weigh(given, free(6), KINDS[kind], 0)
    np.testing.assert_allclose(weights, slowly(KINDS[kind], given, size, 12))
    assert (weights > 0).sum() > 1


def test_where_many_that_are_alike_score_best_together_one_that_errs_elsewhere_still_finds_a_place() -> None:
    random = np.random.default_rng(0)
    y, common = random.normal(size=(2, N_ROWS))
    alike = y + common + 0.6 * random.normal(size=(8, N_ROWS))
    other = y + 1.2 * random.normal(size=N_ROWS)
    given = [Fold(np.arange(N_ROWS), y, None, np.vstack([alike, other]).astype(np.float32))]
    assert score("rmse", given, np.eye(9)[8]) > max(score("rmse", given, np.eye(9)[n]) for n in range(8))
    weights = greedy(size=2).weigh(given, free(9), "rmse", 0)
    assert weights[8] > 0.2


def test_it_is_near_to_the_best_of_all_sets_of_five() -> None:
    given = folds("regression", 5)
    found = score("rmse", given, greedy(rounds=20).weigh(given, free(5), "rmse", 0))
    every = [np.bincount(names, minlength=5) / 5 for names in combinations_with_replacement(range(5), 5)]
    best = min(score("rmse", given, weights) for weights in every)
    alone = min(score("rmse", given, weights) for weights in np.eye(5))
    assert found <= best + 0.05 * (alone - best)


@pytest.mark.parametrize("metric", [name for name, it in METRICS.items() if it.problems & {*KINDS} and name != "mape"])
@pytest.mark.parametrize("bags", [1, 5])
def test_it_is_never_worse_than_the_best_alone_where_it_chose(metric: str, bags: int) -> None:
    kind = next(kind for kind in KINDS if kind in METRICS[metric].problems)
    for seed in range(4):
        given = folds(kind, 5, seed, weighted=True)
        weights = greedy(bags=bags).weigh(given, free(5), metric, seed)
        reached = score(metric, given, weights)
        assert weights.sum() == pytest.approx(1)
        assert weights.min() >= 0
        assert not any(better(metric, score(metric, given, alone), reached) for alone in np.eye(5))


@pytest.mark.parametrize("bags", [1, 4])
def test_the_same_seed_gives_the_same_weights(bags: int) -> None:
    given = folds("binary", 9)
    first, second = (greedy(bags=bags).weigh(given, free(9), "roc_auc", 3) for _ in range(2))
    assert first.tobytes() == second.tobytes()


def test_bags_are_halves_drawn_by_the_seed() -> None:
    given = folds("binary", 9)
    drawn = {greedy(bags=2).weigh(given, free(9), "roc_auc", seed).tobytes() for seed in range(5)}
    assert len(drawn) > 1


def test_of_equals_the_first_is_taken() -> None:
    given = [Fold(f.rows, f.y, f.weight, np.stack([f.predictions[0]] * 4)) for f in folds("regression", 1)]
    assert greedy().weigh(given, free(4), "rmse", 0).tolist() == [1, 0, 0, 0]


def test_one_candidate_has_all_the_weight() -> None:
    assert greedy().weigh(folds("binary", 1), free(1), "roc_auc", 0).tolist() == [1]


@pytest.mark.parametrize("bags", [1, 5])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_the_number_of_members_is_held(size: int, bags: int) -> None:
    weights = greedy(size=size, bags=bags).weigh(folds("regression", 8), free(8), "rmse", 0)
    assert 1 <= (weights > 0).sum() <= size


@pytest.mark.parametrize("bags", [1, 5])
@pytest.mark.parametrize("column", [0, 1])
def test_what_all_members_come_to_stays_within_the_limit(column: int, bags: int) -> None:
    given, costs = folds("regression", 6), free(6)
    costs[:, column] = [40, 50, 60, 10, 10, 101]
    limit = {("megabytes", "milliseconds")[column]: 100}
    weights = greedy(bags=bags, **limit).weigh(given, costs, "rmse", 0)
    assert costs[weights > 0, column].sum() <= 100
    assert weights.sum() == pytest.approx(1)
    assert greedy(bags=bags, megabytes=None).weigh(given, costs, "rmse", 0)[:3].min() > 0


def test_where_no_candidate_is_within_the_limits_none_has_weight() -> None:
    costs = free(3) + 10
    assert not greedy(megabytes=5).weigh(folds("regression", 3), costs, "rmse", 0).any()
