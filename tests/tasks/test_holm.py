"""Holm's correction is that of the paper."""

from __future__ import annotations

import pytest

from tasks.holm import holm


def test_p_values_are_raised_by_how_many_are_left_and_never_below_one_before() -> None:
    """By hand."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []
