"""Hashes of rows: one for a value however it comes, and one for each identifier."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from tasks.row_hash import row_hashes


def hashes(values: Any, **more: Any) -> list[int]:
    return row_hashes(pd.DataFrame({"id": pd.Series(values, **more)}), 0).tolist()


@pytest.mark.parametrize("first", [10**18, -(10**18), 2**53, 2**63])
def test_integers_beyond_what_a_float_tells_apart_have_a_hash_each_as_numbers_and_as_text(first: int) -> None:
    some = [first + n for n in range(200)]
    assert len(set(hashes(some))) == 200
    assert hashes([str(one) for one in some]) == hashes(some)


def test_small_integers_beside_large_ones_have_the_hash_of_numbers() -> None:
    assert hashes([5, 10**18])[0] == hashes([5.0])[0] == hashes(["5"])[0]
    assert hashes([5, None, 10**18], dtype="Int64")[:2] == [hashes([5])[0], hashes([None])[0]]


def test_hexadecimal_identifiers_with_an_e_among_their_digits_have_a_hash_each() -> None:
    some = ["966e1277", "966e1278", "0e123456", "00e12345", "123e-999"]
    assert len(set(hashes(some))) == len(some)
    random = np.random.default_rng(0).integers(0, 2**32, 20_000)
    many = sorted({f"{one:08x}" for one in random})
    assert len(set(hashes(many))) == len(many)


def test_numbers_that_are_written_with_an_exponent_are_numbers() -> None:
    assert hashes(["1e3", "1.5e-2", "-2E1", "0"]) == hashes([1000.0, 0.015, -20.0, 0.0])
