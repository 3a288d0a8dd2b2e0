"""Predictions out of fold are found by row, whichever folds validated it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from judged import CLASSES, NUMBER, PROPOSAL, Sums, case

from tasks.folds import write_folds
from tasks.out_of_fold import N_PARTS, by_fold, over_folds, parted, pooled
from tasks.records import FoldScore, Member, Proposal, Winner
from tasks.study import FoldRecord, fold_file, write_fold

N = 40
TABLE = pd.DataFrame({"x": np.linspace(0.1, 0.9, N), "y": np.arange(N) % 2.0, "weight": np.arange(N) + 1.0})


def test_members_are_summed_by_their_weights(tmp_path: Path) -> None:
    it = case(tmp_path, CLASSES, "f1", TABLE, TABLE, Sums(is_classes=True), out_of_fold=list(TABLE["x"]))
    other = Proposal(1, "sums", {"x": 2})
    for fold, rows, _ in by_fold(it.experiment, it.members):
        write_fold(fold_file(Path(it.experiment.folder), other, fold),
                   FoldRecord(FoldScore(fold, 0.0, 0.0, None, 0.0), (), np.full((len(rows), 2), 0.5, np.float32)))
    found = pooled(it.experiment, (Member(PROPOSAL, 0.25), Member(other, 0.75)))
    np.testing.assert_allclose(found.prediction[:, 1], 0.25 * TABLE["x"] + 0.375, atol=1e-6)
    assert found.weight is not None
    assert found.weight.tolist() == TABLE["weight"].tolist()
    assert sorted(np.concatenate(found.parts)) == list(range(N))
    assert [len(part) for part in found.parts] == [N // 2, N // 2]


def test_every_metric_is_had_on_each_fold_whatever_was_selected_on(tmp_path: Path) -> None:
    it = case(tmp_path, CLASSES, "f1", TABLE, TABLE, Sums(is_classes=True), out_of_fold=list(TABLE["x"]))
    folds = tuple(FoldScore(fold, 0.0, 0.0, None, 0.0) for fold in range(2))
    found = over_folds(it.experiment, Winner(PROPOSAL, 0.0, 0.0, folds, None), ["accuracy", "roc_auc"])
    weight, y = TABLE["weight"].to_numpy(), TABLE["y"].to_numpy()
    rows = [np.arange(N // 2), np.arange(N // 2, N)]
    right = (TABLE["x"].to_numpy().astype(np.float32) > 0.5) == (y == 1)
    assert found["accuracy"] == pytest.approx([np.average(right[one], weights=weight[one]) for one in rows])
    assert all(0.5 < auc < 0.6 for auc in found["roc_auc"])
    one = over_folds(it.experiment, Winner(PROPOSAL, 0.0, 0.0, folds[1:], None), ["accuracy"])
    assert one["accuracy"] == found["accuracy"][1:]  # not of a fold that it was judged on in vain


def test_rows_that_no_fold_validated_are_left_out_and_one_fold_is_parted_by_chance(tmp_path: Path) -> None:
    it = case(tmp_path, NUMBER, "rmse", TABLE, TABLE, Sums(), out_of_fold=list(TABLE["x"]))
    fold_file(Path(it.experiment.folder), PROPOSAL, 0).unlink()
    found = pooled(it.experiment, it.members)
    assert found.rows.tolist() == list(range(N // 2, N))
    assert sorted(np.concatenate(found.parts)) == list(range(N // 2))
    assert len(found.parts) == 5


def parts_of(folder: Path, problem: str, target: list[float], groups: list[str] | None) -> list[list[int]]:
    table = TABLE.assign(y=target)
    it = case(folder, CLASSES if problem == "classes" else NUMBER, "f1" if problem == "classes" else "rmse", table,
              table, Sums(is_classes=problem == "classes"), out_of_fold=list(TABLE["x"]))  # fmt: skip
    if groups is not None:
        file = Path(it.experiment.split) / "train_roles.parquet"
        pd.read_parquet(file).assign(group=groups).to_parquet(file)
    return [part.tolist() for part in parted(it.experiment, np.arange(N))]


@pytest.mark.parametrize("problem", ["classes", "number"])
def test_groups_of_a_parted_fold_stay_whole(tmp_path: Path, problem: str) -> None:
    groups = [f"g{k // 4}" for k in range(N)]
    found = parts_of(tmp_path, problem, [float(k % 2) for k in range(N)], groups)
    assert len(found) == N_PARTS
    assert sorted(k for part in found for k in part) == list(range(N))
    homes = [{groups[k] for k in part} for part in found]
    assert sum(map(len, homes)) == len(set(groups))


def test_each_part_has_its_share_of_a_rare_class_and_as_few_parts_are_made(tmp_path: Path) -> None:
    rare = [1.0 if k in (3, 17, 31) else 0.0 for k in range(N)]
    found = parts_of(tmp_path, "classes", rare, None)
    assert [sum(rare[k] for k in part) for part in found] == [1, 1, 1]


def test_a_class_of_one_row_or_one_group_alone_does_not_keep_a_fold_from_being_parted(tmp_path: Path) -> None:
    single = [float(k == 3) for k in range(N)]
    assert len(parts_of(tmp_path, "classes", single, ["all"] * N)) == N_PARTS


def test_of_a_row_that_was_validated_twice_the_last_prediction_counts(tmp_path: Path) -> None:
    it = case(tmp_path, NUMBER, "rmse", TABLE, TABLE, Sums(), out_of_fold=list(TABLE["x"]))
    every = np.arange(N)
    write_folds(Path(it.experiment.split), [(every[:5], every), (every[5:], every)])
    for fold in range(2):
        write_fold(fold_file(Path(it.experiment.folder), PROPOSAL, fold),
                   FoldRecord(FoldScore(fold, 0.0, 0.0, None, 0.0), (), np.full(N, float(fold), np.float32)))
    found = pooled(replace(it.experiment, digest="anew"), it.members)
    assert found.prediction.tolist() == [1.0] * N
