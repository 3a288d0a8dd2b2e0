"""The holdout is sealed by what a row is, never by where it stands."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import GroupKFold, KFold, RepeatedKFold, StratifiedKFold

from tasks import parquet
from tasks.folds import read_folds
from tasks.folds.time_ordered import TimeOrdered
from tasks.records import Prepared, Problem, Split
from tasks.refusal import Refusal
from tasks.row_hash import row_hashes
from tasks.split import outer_split, split

N = 400
RNG = np.random.default_rng(0)
FEATURES = pd.DataFrame({"a": np.arange(N, dtype=float)})


def table(folder: Path, **roles: Any) -> Prepared:
    folder.mkdir()
    FEATURES.to_parquet(folder / "features.parquet", index=False)
    identity = pd.DataFrame({"group": roles["group"]}) if "group" in roles else FEATURES
    columns = {"target": np.arange(N) % 2, "hash": row_hashes(identity, 0), **roles}
    pd.DataFrame(columns).to_parquet(folder / "roles.parquet", index=False)
    problem = Problem("binary", "y", ("no", "yes"))
    has = {"has_group": "group" in roles, "has_time": "time" in roles}
    return Prepared(str(folder), str(sorted(roles)), "t", problem, N, 1, 1, notes=(), **has)


def divided(prepared: Prepared, splitter: Any, fraction: float = 0.2) -> tuple[Split, pd.DataFrame, pd.DataFrame]:
    made = split.fn(prepared, splitter, "some", fraction, str(Path(prepared.folder) / "data"))
    folder = Path(made.folder)
    return made, pd.read_parquet(folder / "train_roles.parquet"), pd.read_parquet(folder / "holdout_labels.parquet")


def test_sides_are_disjoint_complete_and_of_about_the_size_asked_for(tmp_path: Path) -> None:
    made, train, held = divided(table(tmp_path / "p"), StratifiedKFold(5, shuffle=True, random_state=0))
    assert made.n_train + made.n_holdout == N
    assert not set(train["hash"]) & set(held["hash"])
    assert abs(made.n_holdout / N - 0.2) < 0.08
    assert len(read_folds(Path(made.folder))) == 5


def test_a_smaller_holdout_lies_in_a_larger_one(tmp_path: Path) -> None:
    _, _, small = divided(table(tmp_path / "a"), KFold(2), 0.1)
    _, _, large = divided(table(tmp_path / "b"), KFold(2), 0.3)
    assert set(small["hash"]) < set(large["hash"])


def test_groups_stay_whole(tmp_path: Path) -> None:
    groups = RNG.integers(0, 30, N).astype(str)
    made, train, held = divided(table(tmp_path / "p", group=groups), GroupKFold(3))
    assert not set(train["group"]) & set(held["group"])
    for rows, valid in read_folds(Path(made.folder)):
        assert not set(train["group"].iloc[rows]) & set(train["group"].iloc[valid])
    assert made.notes == ()


def test_with_time_the_last_rows_are_held_out_and_rows_of_one_moment_stay_together(tmp_path: Path) -> None:
    times = RNG.integers(0, 50, N).astype(float)
    _, train, held = divided(table(tmp_path / "p", time=times), KFold(2))
    assert train["time"].max() < held["time"].min()


def test_a_final_fit_sees_as_many_more_rows_than_a_fold_as_folds_of_any_kind_have_left_out(tmp_path: Path) -> None:
    made, _, _ = divided(table(tmp_path / "a"), KFold(5))
    assert made.growth == pytest.approx(5 / 4, abs=0.01)
    made, _, _ = divided(table(tmp_path / "b", time=np.arange(N)), TimeOrdered(5))
    assert made.growth == pytest.approx(6 / 3, abs=0.02)  # of six spans folds learned from 1 to 5
    repeated = RepeatedKFold(n_splits=4, n_repeats=3, random_state=0)
    assert divided(table(tmp_path / "c"), repeated)[0].growth == pytest.approx(4 / 3, abs=0.01)


def test_a_rare_class_is_said_of_holdout_and_folds(tmp_path: Path) -> None:
    prepared = table(tmp_path / "p", target=np.isin(np.arange(N), [0, 100, 200, 201]).astype(int))
    made, _, _ = divided(prepared, KFold(5))
    assert any("class yes has" in note and "in the holdout; scores of it say little" in note for note in made.notes)
    assert any("class yes has no row in the validation part of" in note for note in made.notes)


@pytest.mark.parametrize(
    ("roles", "fraction", "said"),
    [
        ({"group": ["one"] * N}, 0.2, "folds.n_splits=2 is too many: source.group has 1 groups"),
        (
            {"group": ["one", "two"] * (N // 2)},
            0.2,
            "source.group has 2 groups, and the holdout takes some; name another",
        ),
        ({"time": np.zeros(N)}, 0.2, "too few different times: choose another holdout.fraction"),
        ({}, 1e-6, "leaves 400 rows to train on and 0 for the holdout"),
    ],
)
def test_an_empty_side_is_refused(tmp_path: Path, roles: dict[str, Any], fraction: float, said: str) -> None:
    with pytest.raises(Refusal, match=said):
        divided(table(tmp_path / "p", **roles), KFold(2), fraction)


def few(folder: Path, codes: list[int], **roles: Any) -> Prepared:
    """A table of so many rows; whose hashes are those of the first rows of the usual one."""
    prepared = table(folder, **roles)
    n, columns = len(codes), {"target": np.array(codes)}
    for name in ("features", "roles"):
        path = folder / f"{name}.parquet"
        frame = pd.read_parquet(path).head(n)
        frame.assign(**(columns if name == "roles" else {})).to_parquet(path, index=False)
    return replace(prepared, n_rows=n)


@pytest.mark.parametrize(("n_no", "n_yes", "held"), [(15, 15, [3, 3]), (26, 4, [5, 1]), (20, 10, [4, 2])])
def test_of_few_rows_every_class_gives_its_share_to_the_holdout(
    tmp_path: Path, n_no: int, n_yes: int, held: list[int]
) -> None:
    for shift in range(3):
        codes = np.roll([0] * n_no + [1] * n_yes, shift).tolist()
        made, train, sealed = divided(few(tmp_path / str(shift), codes), StratifiedKFold(3))
        assert np.bincount(sealed["target"].astype(int)).tolist() == held
        assert len(train) + len(sealed) == 30
    assert any("exactly the share is sealed, of each class too" in note for note in made.notes)
    assert any("the holdout has 6 rows only" in note for note in made.notes)


def test_of_few_rows_groups_and_equal_rows_stay_whole(tmp_path: Path) -> None:
    prepared = few(tmp_path / "p", [0, 1] * 15, group=[str(n % 10) for n in range(N)])
    _, train, held = divided(prepared, GroupKFold(3))
    assert held["group"].nunique() == 2
    assert not set(train["group"]) & set(held["group"])


def test_a_holdout_of_few_rows_holds_most_of_what_it_held_when_the_table_grows(tmp_path: Path) -> None:
    _, _, before = divided(few(tmp_path / "a", [0, 1] * 15), KFold(2))
    _, _, after = divided(few(tmp_path / "b", [0, 1] * 20), KFold(2))
    assert len(set(before["hash"]) & set(after["hash"])) >= 4


def test_so_few_rows_that_nothing_can_be_judged_are_refused_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"t has 5 rows with a target, and at least 10 are needed.*Label more"):
        divided(few(tmp_path / "p", [0, 1, 0, 1, 0]), KFold(2))


def test_leave_one_out_is_said(tmp_path: Path) -> None:
    made, _, _ = divided(few(tmp_path / "p", [0, 1] * 6), KFold(10))
    assert any("leave-one-out" in note for note in made.notes)


def test_features_follow_their_rows_to_either_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "ROWS_IN_GROUP", 64)
    made, train, held = divided(table(tmp_path / "p"), KFold(2))
    for name, roles in (("train", train), ("holdout", held)):
        features = pd.read_parquet(Path(made.folder) / f"{name}_features.parquet")
        assert row_hashes(features, 0).tolist() == roles["hash"].tolist()


def test_a_published_split_is_held_out_as_it_is(tmp_path: Path) -> None:
    prepared = table(tmp_path / "p", group=[str(n % 9) for n in range(N)])
    for name in ("features", "roles"):
        frame = pd.read_parquet(tmp_path / "p" / f"{name}.parquet").head(30)
        frame.to_parquet(tmp_path / "p" / f"test_{name}.parquet", index=False)
    made, train, held = divided(prepared, KFold(2))
    assert (made.n_train, made.n_holdout, len(train), len(held)) == (N, 30, N, 30)
    assert len(pd.read_parquet(Path(made.folder) / "holdout_features.parquet")) == 30


@pytest.mark.parametrize("roles", [{}, {"group": np.repeat(np.arange(80), 5).astype(str)}])
def test_an_outer_fold_is_a_split_of_its_own_without_the_sealed_rows(tmp_path: Path, roles: Any) -> None:
    prepared, splitter = table(tmp_path / "p", **roles), GroupKFold(3) if roles else KFold(3)
    whole, train, held = divided(prepared, splitter)
    root = str(tmp_path / "p" / "data")
    inner = [outer_split.fn(prepared, whole, splitter, "some", fold, root) for fold in range(3)]
    assert len({whole.digest, *(one.digest for one in inner)}) == 4
    sides = [
        tuple(pd.read_parquet(Path(one.folder) / name) for name in ("train_roles.parquet", "holdout_labels.parquet"))
        for one in inner
    ]
    assert sorted(pd.concat([valid for _, valid in sides])["hash"]) == sorted(train["hash"])
    for one, (left, valid) in zip(inner, sides, strict=True):
        assert (one.n_train, one.n_holdout) == (len(left), len(valid))
        assert not set(left["hash"]) & set(valid["hash"])
        assert not (set(left["hash"]) | set(valid["hash"])) & set(held["hash"])
        features = pd.read_parquet(Path(one.folder) / "holdout_features.parquet")
        if not roles:
            assert row_hashes(features, 0).tolist() == valid["hash"].tolist()
        folds = read_folds(Path(one.folder))
        assert sorted(np.concatenate([rows for _, rows in folds])) == list(range(one.n_train))


def test_folds_that_cannot_be_drawn_within_a_fold_are_refused_with_the_key(tmp_path: Path) -> None:
    prepared = table(tmp_path / "p")
    roles = pd.read_parquet(tmp_path / "p" / "roles.parquet")
    roles.assign(target=(np.arange(N) < 4).astype(int)).to_parquet(tmp_path / "p" / "roles.parquet", index=False)
    splitter = StratifiedKFold(3, shuffle=True, random_state=0)
    whole, train, _ = divided(prepared, splitter, 0.02)
    root = str(tmp_path / "p" / "data")
    assert train["target"].sum() >= 3

    def every() -> list[Split]:
        return [outer_split.fn(prepared, whole, splitter, "some", fold, root) for fold in range(3)]

    with pytest.raises(Refusal, match=r"evaluation=nested: among the 2\d\d rows that fold \d trains on: folds\.n_spl"):
        every()
