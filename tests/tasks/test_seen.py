"""Rows that a model was trained on are known again in another holdout, by their hashes alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tasks import seen
from tasks.records import Prepared, Problem, Roles, Split
from tasks.row_hash import row_hashes, unsalted
from tasks.seen import Identity, Today

NO_ROLES = Roles(None, (), (), (), (), (), None, None, None, None, False)
KEYED = Roles(None, (), (), (), (), ("id",), None, None, None, None, False)


@dataclass(frozen=True)
class Sides:
    """A table as it lies on disk after `prepare` and `split`."""

    prepared: Prepared
    split: Split
    seed: int
    is_held: np.ndarray

    @property
    def today(self) -> Today:
        return Today(Path(self.prepared.folder), Path(self.split.folder), self.seed)


def table(n: int, begin: int = 0) -> pd.DataFrame:
    rows = np.arange(begin, begin + n)
    return pd.DataFrame({"id": rows, "a": rows * 0.5, "b": [f"level {row % 7}" for row in rows]})


def sides(
    root: Path, raw: pd.DataFrame, roles: Roles = NO_ROLES, seed: int = 0, *, is_published: bool = False
) -> Sides:
    """id is no feature. A fifth is held out by the hash of the key, or of all columns."""
    prepared, split = root / "prepared", root / "split"
    prepared.mkdir(parents=True)
    split.mkdir()
    hashes = row_hashes(raw[["id"]] if roles.key else raw, seed)
    is_held = hashes < np.uint64(2**64 // 5)
    identity = Identity.of(roles, raw.columns)
    assert identity is not None
    identity.write(prepared)
    for side, part in (("train", ~is_held), ("holdout", is_held)):
        raw.loc[part, ["a", "b"]].to_parquet(split / f"{side}_features.parquet", index=False)
        known = pd.DataFrame({"hash": hashes[part], "target": 0.0})
        known.to_parquet(split / ("train_roles.parquet" if side == "train" else "holdout_labels.parquet"))
    if not is_published:
        np.save(split / "is_held.npy", np.packbits(is_held))
    problem = Problem("regression", "y", ())
    return Sides(
        Prepared(str(prepared), "d", "t", problem, len(raw), 2, 2, False, False, ()),
        Split(str(split), "s", int((~is_held).sum()), int(is_held.sum()), 5, 1.25, ()), seed, is_held,
    )  # fmt: skip


def trained_on(made: Sides, folder: Path, base: Path | None = None) -> Path:
    folder.mkdir()
    seen.write(folder, made.prepared, made.split, made.seed, base)
    return folder


def test_a_hash_by_another_salt_is_known_again() -> None:
    assert (unsalted(row_hashes(table(500), 17), 17) == row_hashes(table(500), 0)).all()


@pytest.mark.parametrize("roles", [NO_ROLES, KEYED])
def test_in_a_table_that_grew_nothing_of_the_holdout_was_seen(tmp_path: Path, roles: Roles) -> None:
    model = trained_on(sides(tmp_path / "then", table(1_000), roles), tmp_path / "model")
    now = sides(tmp_path / "now", table(3_000), roles)
    found = now.today.seen_by(seen.read(model))
    assert found is not None
    assert not found.any()


@pytest.mark.parametrize("roles", [NO_ROLES, KEYED])
def test_by_another_salt_just_the_training_rows_of_before_are_known_again(tmp_path: Path, roles: Roles) -> None:
    then = sides(tmp_path / "then", table(1_000), roles)
    model = trained_on(then, tmp_path / "model")
    now = sides(tmp_path / "now", table(3_000), roles, seed=1)
    was_trained_on = np.concatenate([~then.is_held, np.zeros(2_000, bool)])[now.is_held]
    assert was_trained_on.sum() > 100
    assert np.array_equal(now.today.seen_by(seen.read(model)), was_trained_on)


def test_a_key_is_known_again_where_the_values_changed_and_a_row_without_one_is_not(tmp_path: Path) -> None:
    changed = table(1_000).assign(a=lambda rows: rows["a"] + 1_000)
    for name, roles in (("keyed", KEYED), ("bare", NO_ROLES)):
        then = sides(tmp_path / name / "then", table(1_000), roles)
        model = trained_on(then, tmp_path / name / "model")
        now = sides(tmp_path / name / "now", changed, roles, seed=1)
        found = now.today.seen_by(seen.read(model))
        assert found is not None
        assert found.any() == (name == "keyed")


@pytest.mark.parametrize("roles", [NO_ROLES, KEYED])
def test_of_a_user_s_table_the_training_rows_are_known_and_a_key_with_new_values_is_a_new_row(
    tmp_path: Path, roles: Roles
) -> None:
    then = sides(tmp_path / "then", table(1_000), roles)
    tables = seen.read(trained_on(then, tmp_path / "model"))
    now = pd.concat([table(1_500), table(1_000).assign(a=-1.0)], ignore_index=True).astype({"id": str})
    assert seen.columns(tables) == (("id",) if roles.key else ("a", "b", "id"))
    expected = np.concatenate([~then.is_held, np.zeros(1_500, bool)])
    assert np.array_equal(seen.known_rows(tables, now, now[["a", "b"]]), expected)
    assert not seen.known_rows(tables, now.drop(columns="id"), now[["a", "b"]]).any()
    assert not seen.known_rows([], now, now[["a", "b"]]).any()


def test_where_rows_are_told_apart_differently_their_features_are_looked_at(tmp_path: Path) -> None:
    then = sides(tmp_path / "then", table(1_000), KEYED)
    model = trained_on(then, tmp_path / "model")
    for name, now in (
        ("bare", sides(tmp_path / "now", table(1_000).assign(id=7), seed=1)),
        ("published", sides(tmp_path / "published", table(1_000), KEYED, seed=1, is_published=True)),
    ):
        assert np.array_equal(now.today.seen_by(seen.read(model)), ~then.is_held[now.is_held]), name


def test_where_a_group_stands_on_both_sides_in_time_its_hash_tells_no_rows_apart() -> None:
    assert Identity.of(replace(NO_ROLES, group="shop", time="day"), ["shop", "day"]) is None
    assert Identity.of(replace(NO_ROLES, time="day"), ["a", "day"]) == Identity("content", ("a", "day"))


def test_without_the_features_it_can_not_be_told(tmp_path: Path) -> None:
    model = trained_on(sides(tmp_path / "then", table(100)), tmp_path / "model")
    other = sides(tmp_path / "now", table(100).assign(a="x", c=1.0))
    features = pd.read_parquet(tmp_path / "now" / "split" / "holdout_features.parquet").rename(columns={"a": "z"})
    for side in ("train", "holdout"):
        features.to_parquet(tmp_path / "now" / "split" / f"{side}_features.parquet", index=False)
    assert other.today.seen_by(seen.read(model)) is None
    assert other.today.seen_by([]) is None


def test_what_the_base_has_seen_counts_too(tmp_path: Path) -> None:
    base = trained_on(sides(tmp_path / "broad", table(1_000)), tmp_path / "base")
    model = trained_on(sides(tmp_path / "few", table(100, 5_000)), tmp_path / "model", base)
    now = sides(tmp_path / "now", table(1_000), seed=1)
    of_base, of_model = (now.today.seen_by(seen.read(one)) for one in (base, model))
    assert of_base is not None
    assert of_base.any()
    assert np.array_equal(of_base, of_model)
    assert (model / "seen.npy").stat().st_size <= 8 * 1_000 + 128
