"""Prompts that are nearly ones that are trained on."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from parrot import PROBLEM, counted, split_of

from tasks.check.near_prompts import NearPrompts
from tasks.divided import Divided
from tasks.records import Problem
from tasks.verdict import Finding

CHECK = NearPrompts(near=0.9, most=0.01, rows=1000, training_rows=20000)


def found(root: Path, train: pd.DataFrame, held: pd.DataFrame) -> Finding:
    made = CHECK.inspect(Divided(split_of(root, train, held), PROBLEM, 0, ("prompt", "response")))
    assert made is not None
    return made


def test_prompts_that_differ_in_a_number_are_no_twins(tmp_path: Path) -> None:
    made = found(tmp_path, counted(60), counted(80).tail(20).reset_index(drop=True))
    assert [made.numbers[f"near_in_{where}"].value for where in ("the_holdout", "folds")] == [0, 0]
    assert (made.state, made.is_suspected) == ("passed", False)


def test_a_prompt_with_another_case_or_mark_is_a_twin_of_the_holdout(tmp_path: Path) -> None:
    held = counted(20).assign(prompt=lambda table: "WHAT  is " + table["prompt"].str[8:-1] + " ?")
    made = found(tmp_path, counted(60), held)
    assert made.numbers["near_in_the_holdout"].value == 1.0
    assert (made.state, made.is_suspected) == ("told", True)
    assert "100.0% of the prompts in the holdout are nearly ones that are trained on" in made.reason


def test_copies_within_a_fold_are_no_leak_and_across_folds_are(tmp_path: Path) -> None:
    half = counted(30)
    across = pd.concat([half, half], ignore_index=True)
    assert found(tmp_path / "across", across, counted(20, "other")).numbers["near_in_folds"].value == 1.0
    within = pd.concat([half.head(15), half.head(15), half.tail(15), half.tail(15)], ignore_index=True)
    assert found(tmp_path / "within", within, counted(20, "other")).numbers["near_in_folds"].value == 0.0


def test_rows_of_one_group_are_no_twins(tmp_path: Path) -> None:
    train = pd.concat([counted(30), counted(30)], ignore_index=True).assign(group=[f"g{k % 30}" for k in range(60)])
    held = counted(20, "other").assign(group="h")
    assert found(tmp_path, train, held).numbers["near_in_folds"].value == 0.0


def test_a_table_has_no_prompts(tmp_path: Path) -> None:
    split = split_of(tmp_path, counted(60), counted(20))
    assert CHECK.inspect(Divided(split, Problem("regression", "y", ()), 0)) is None
