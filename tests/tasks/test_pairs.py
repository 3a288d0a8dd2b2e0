"""Which columns a model learns to write from, and what is refused of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tasks import pairs
from tasks.columns import Columns
from tasks.records import Roles
from tasks.refusal import Refusal
from tasks.spool import Spool

NONE = Roles(None, (), (), (), (), (), None, None, None, None, False)
PAIR = replace(NONE, prompt="q", response="a", target="a")


def columns(table: pd.DataFrame, folder: Path) -> Columns:
    return Columns.of(iter(pa.Table.from_pandas(table, preserve_index=False).to_batches()), Spool(folder))


@pytest.mark.parametrize("given", [
    replace(NONE, prompt="q", response="a"), replace(NONE, prompt="q", target="a"),
    replace(NONE, prompt="q", target="a", response="a"),
])  # fmt: skip
def test_the_response_is_the_target_however_it_is_named(given: Roles) -> None:
    assert pairs.roles_of(given, "auto", writes=True) == PAIR


def test_a_single_column_of_text_is_gone_on_with() -> None:
    found = pairs.roles_of(replace(NONE, text=("t",)), "generation", writes=True)
    assert (found.prompt, found.response, found.target, found.text) == (None, "t", "t", ())


@pytest.mark.parametrize(("given", "problem", "writes", "said"), [
    (replace(NONE, prompt="q"), "auto", True, "source.response is needed"),
    (replace(NONE, prompt="q", response="a", target="b"), "auto", True, "source.target=b: what is written is"),
    (replace(NONE, prompt="a", response="a"), "auto", True, "source.prompt=a: this is the response too"),
    (PAIR, "binary", True, "problem=binary: model=text_generator writes text"),
    (replace(NONE, prompt="q", target="a"), "auto", False, "source.prompt=q: only model=text_generator writes"),
    (replace(NONE, target="a"), "generation", False, "problem=generation: only model=text_generator writes"),
])  # fmt: skip
def test_roles_that_do_not_go_together_are_refused(given: Roles, problem: str, writes: bool, said: str) -> None:
    with pytest.raises(Refusal, match=said):
        pairs.roles_of(given, problem, writes=writes)


def test_empty_prompts_and_responses_are_counted_and_refused_or_left_out(tmp_path: Path) -> None:
    table = pd.DataFrame({"q": ["a", " ", None, "d", "e"], "a": ["1", "2", "3", "", "None"], "n": range(5)})
    raw = columns(table, tmp_path)
    with pytest.raises(Refusal) as refused:
        pairs.target(raw, PAIR)
    assert [
        fault.partition(";")[0] for fault in refused.value.faults
    ] == ["source.prompt=q: 2 of 5 are empty", "source.response=a: 1 of 5 are empty"]
    found = pairs.target(raw, replace(PAIR, drop_missing_target=True))
    np.testing.assert_array_equal(found.codes, [1, np.nan, np.nan, np.nan, 4])
    assert found.notes == ["3 rows without a prompt or a response left out"]
    assert found.problem.is_generation
    assert pairs.columns(raw, PAIR).notes == ["1 other columns are not read"]


def test_a_response_s_length_is_in_bytes() -> None:
    assert pairs.length(pd.Series(["größe", "絵", "ab", None])).tolist()[:3] == [7, 3, 2]


def test_a_plain_text_is_asked_by_its_first_half_and_nothing_of_it_is_lost() -> None:
    prompts, references = pairs.asked(pd.DataFrame({"t": ["one two  three\nfour five", "one", ""]}))
    assert prompts == ["one two  three", "one", ""]
    assert references == ["four five", "", ""]
