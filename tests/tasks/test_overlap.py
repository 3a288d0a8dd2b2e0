"""How much of a reference a written response has."""

from __future__ import annotations

import pytest

from tasks.overlap import is_exact, token_f1


def test_only_the_width_of_spaces_is_no_difference() -> None:
    assert is_exact(" So  it\nis.", "So it is.")
    assert not is_exact("so it is.", "So it is.")


@pytest.mark.parametrize(("written", "reference", "expected"), [
    ("3 metres are 300 centimetres.", "3 metres are 300 centimetres.", 1.0),
    ("the cat sat", "the cat ran off", 4 / 7), ("a a a", "a b", 2 / 5), ("x", "y", 0.0), ("", "y", 0.0), ("", "", 0.0),
])  # fmt: skip
def test_the_f1_of_words_is_that_of_squad(written: str, reference: str, expected: float) -> None:
    """2 PR / (P + R) of bags of words, by hand."""
    assert token_f1(written, reference) == pytest.approx(expected)
