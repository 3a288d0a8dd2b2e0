"""What is compared of an export, and when it is too far from the model."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from exports import SCHEMA, Case, table

from tasks import parity
from tasks.format import Limits
from tasks.parity import Expected


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> parity.Rows:
    case = Case(tmp_path_factory.mktemp("rows"), "binary")
    return parity.rows_of(case.holdout, SCHEMA, {"size, m": [0.25]}, 50)


def test_hard_rows_hold_what_is_hard_of_each_column(rows: parity.Rows) -> None:
    hard = rows.raw.head(len(rows.names)).set_axis(list(rows.names))
    assert pd.isna(hard.loc["town missing", "town"])
    assert hard.loc["town unseen", "town"] == parity.UNSEEN
    assert hard.loc["town ''", "town"] == ""
    near = {np.nextafter(0.25, -1), 0.25, np.nextafter(0.25, 1)}
    assert near | {np.inf, -np.inf} <= set(hard["size, m"].dropna())
    assert hard.loc["everything missing"].isna().all()


def test_so_many_rows_of_the_holdout_are_taken_as_were_asked_for(rows: parity.Rows) -> None:
    assert len(rows.raw) == len(rows.names) + 50
    assert rows.n_holdout == 80


def test_rows_of_the_holdout_have_the_features_that_they_had(rows: parity.Rows) -> None:
    raw = rows.raw.iloc[len(rows.names) :]
    wanted = SCHEMA.apply(table(80, 1)).iloc[np.linspace(0, 79, 50).astype(int)].reset_index(drop=True)
    pd.testing.assert_frame_equal(SCHEMA.apply(raw).reset_index(drop=True), wanted, check_dtype=False)


def test_a_number_on_one_side_alone_is_infinitely_far() -> None:
    found = parity._far(np.array([1.0, np.nan, np.nan]), np.array([1.5, np.nan, 0.0]), 2.0)
    assert found.tolist() == [0.25, 0.0, np.inf]


def test_another_label_counts_where_the_model_was_surer_than_the_limit() -> None:
    truth = Expected(np.zeros((3, 2)), np.array(["a", "a", "b"]), np.array([0.5, 1e-9, 0.5]), 1.0)
    assert parity._flips(np.array(["b", "b", "b"]), truth, Limits(1e-5, 0)) == (1, 1)
