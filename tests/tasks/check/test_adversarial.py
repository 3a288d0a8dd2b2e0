"""A holdout that is unlike the training rows is told, with the columns that give it away; a drawn one is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from divisions import CLASSES, divided
from judged import Sums
from judged import case as judged_case

from tasks.check.adversarial import Adversarial
from tasks.verdict import Finding

CHECK = Adversarial(most_auc=0.6, rows=5000, resamples=100)
N = 300
RNG = np.random.default_rng(0)


def table(n: int, shift: float = 0.0) -> pd.DataFrame:
    levels = pd.Series(RNG.choice(["a", "b", "c"], n), dtype="str")
    return pd.DataFrame({"x": RNG.normal(size=n), "shifted": RNG.normal(shift, size=n), "town": levels})


def measured(root: Path, train: pd.DataFrame, held: pd.DataFrame, check: Adversarial = CHECK, **roles: Any) -> Finding:
    plain = pd.DataFrame({"x": [0.0, 1.0], "y": [0.0, 1.0]})
    it = judged_case(root, CLASSES, "roc_auc", plain, plain, Sums(is_classes=True))
    known = {"train_roles": {"hash": np.arange(len(train))}, "held_roles": {"hash": -1 - np.arange(len(held))}}
    divided(root / "split", CLASSES, train, held, np.arange(len(train)) % 2, **(known | roles))
    return check.measure(it)


def test_a_holdout_of_the_same_kind_passes(tmp_path: Path) -> None:
    it = measured(tmp_path, table(N), table(N))
    assert (it.state, it.reason, it.parts) == ("passed", "", {})
    assert it.numbers["auc"].low < 0.5 < it.numbers["auc"].high + 0.05


def test_a_holdout_of_another_kind_fails_and_the_column_is_named(tmp_path: Path) -> None:
    it = measured(tmp_path, table(N), table(N, shift=2))
    assert it.state == "failed"
    assert next(iter(it.parts)) == "shifted"
    assert "most of all by shifted" in it.reason
    assert "check.adversarial.most_auc=0.6" in it.reason
    assert measured(tmp_path / "told", table(N), table(N, shift=2), Adversarial(None, 5000, 100)).state == "told"


def test_a_holdout_in_the_future_is_expected_to_differ(tmp_path: Path) -> None:
    roles = {side: {"hash": np.arange(N) + at, "time": np.arange(N, dtype=float) + at}
             for side, at in (("train_roles", 0), ("held_roles", N))}  # fmt: skip
    it = measured(tmp_path, table(N), table(N, shift=2), **roles)
    assert it.state == "told"
    assert "expected of a holdout that lies in the future" in it.reason


def test_groups_are_not_known_again_by_what_their_rows_share(tmp_path: Path) -> None:
    """Each group has a number of its own; without the groups trees would tell a group's side by its number."""
    train, held = table(N), table(N)
    group = {"train_roles": np.arange(N) // 30, "held_roles": 10 + np.arange(N) // 30}
    names = RNG.permutation(20)
    train["own"], held["own"] = (names[group[side]] * 1.0 for side in group)
    roles = {side: {"hash": codes.astype(np.uint64), "group": [str(code) for code in codes]}
             for side, codes in group.items()}  # fmt: skip
    assert measured(tmp_path, train, held, **roles).state == "passed"


def test_sides_of_few_groups_are_not_measurable(tmp_path: Path) -> None:
    roles = {"held_roles": {"hash": np.full(N, 7)}}
    assert measured(tmp_path, table(N), table(N), **roles).state == "not_measurable"


def test_the_same_seed_gives_the_same_finding(tmp_path: Path) -> None:
    train, held = table(N), table(N, shift=1)
    assert measured(tmp_path / "a", train, held) == measured(tmp_path / "b", train, held)
