"""Crossovers: where children lie between and beyond their parents."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.search._cross import ALPHA, CROSSOVERS, ETA, blx_alpha, sbx, uniform

A, B, N = 0.4, 0.6, 20_000


def children(name: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    rng = np.random.default_rng(0)
    return np.array([CROSSOVERS[name](A, B, rng) for _ in range(N)])


@pytest.mark.parametrize("name", sorted(CROSSOVERS))
def test_children_are_centred_between_their_parents_and_stay_inside(name: str) -> None:
    found = children(name)
    assert found.mean() == pytest.approx((A + B) / 2, abs=0.005)
    rng = np.random.default_rng(1)
    assert all(0 <= CROSSOVERS[name](0.0, 1.0, rng) <= 1 for _ in range(500))


def test_uniform_takes_one_parents_gene() -> None:
    rng = np.random.default_rng(0)
    assert {uniform(A, B, rng) for _ in range(50)} == {A, B}


def test_blx_alpha_spreads_evenly_up_to_alpha_beyond_the_parents() -> None:
    found = children("blx_alpha")
    margin = ALPHA * (B - A)
    assert (found.min(), found.max()) == pytest.approx((A - margin, B + margin), abs=0.001)
    assert np.histogram(found, 4)[0] == pytest.approx(np.full(4, N / 4), rel=0.05)
    assert blx_alpha(A, A, np.random.default_rng(0)) == A


def test_sbx_contracts_as_often_as_it_expands_by_the_published_distribution() -> None:
    """Deb and Agrawal 1995: the spread factor beta has density 0.5 (n + 1) beta^n below 1, and so mean below 1 of
    (n + 1) / (n + 2); half of all children lie between their parents."""
    beta = np.abs(2 * children("sbx") - (A + B)) / (B - A)
    assert (beta < 1).mean() == pytest.approx(0.5, abs=0.02)
    assert beta[beta < 1].mean() == pytest.approx((ETA + 1) / (ETA + 2), abs=0.01)
    assert sbx(A, A, np.random.default_rng(0)) == pytest.approx(A)
