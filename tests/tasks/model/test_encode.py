"""What encoders learn, and from which rows."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd

from tasks.model._encode import Levels, relative

X = pd.DataFrame({"size": [1.0, np.nan, 3.0], "colour": ["red", None, "blue"]})


def test_a_level_is_its_place_in_sorted_order_and_a_gap_is_nan() -> None:
    np.testing.assert_array_equal(Levels.learn([X]).encode(X), [[1, 1], [np.nan, np.nan], [3, 0]])


def test_an_unseen_level_is_nan_unless_it_is_given_a_code() -> None:
    new = pd.DataFrame({"size": [2.0, 2.0], "colour": ["green", None]})
    assert np.isnan(Levels.learn([X]).encode(new)[:, 1]).all()
    np.testing.assert_array_equal(Levels.learn([X]).encode(new, unseen=-1)[:, 1], [-1, np.nan])


def test_earlier_levels_keep_their_codes_and_columns_their_places() -> None:
    more = pd.DataFrame({"colour": ["amber", "red"], "size": [1.0, 2.0]})
    levels = Levels.learn([more], Levels.learn([X]))
    assert levels.columns == ("size", "colour")
    assert levels.levels["colour"] == ("blue", "red", "amber")


def test_text_of_either_pandas_type_gives_the_same_codes() -> None:
    levels = Levels.learn([X])
    for dtype in ("object", "str"):
        np.testing.assert_array_equal(levels.encode(X.astype({"colour": dtype})), levels.encode(X))
        assert Levels.learn([X.astype({"colour": dtype})]) == levels


def test_an_encoding_survives_json() -> None:
    levels = Levels.learn([X])
    assert Levels.from_json(json.loads(json.dumps(levels.as_json()))) == levels


def test_weights_have_a_mean_of_one_and_equal_ones_are_none() -> None:
    assert relative(np.full(3, 7.0)) is None
    np.testing.assert_allclose(relative(np.array([1.0, 2.0, 3.0])), [0.5, 1, 1.5])
