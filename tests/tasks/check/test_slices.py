"""Parts of the rows are judged apart, and one that fine-tuning made worse fails the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from judged import CLASSES, NUMBER, Sums, case
from scipy.stats import ttest_1samp

from tasks import model as models
from tasks.check import Case
from tasks.check.slices import Slices, one_sided
from tasks.records import Problem
from tasks.verdict import Finding

CHECK = Slices(level=0.05, least_rows=20, least_of_a_class=5, resamples=300)


def sliced(
    root: Path, problem: Problem, metric: str, held: pd.DataFrame, model: Sequence[float], base: Sums | None,
    **columns: Sequence[str],
) -> Case:
    """model: (n_held,) what the fine-tuned model predicts, for classes the probability of the second."""
    it = case(root, problem, metric, held, held, Sums(is_classes=problem.is_classification), base=base)
    predicted = np.asarray(model, dtype=np.float64)
    names = [f"probability_{label}" for label in problem.classes] or ["prediction"]
    values = np.column_stack([1 - predicted, predicted]) if problem.is_classification else predicted[:, None]
    pd.DataFrame(values, columns=names).to_parquet(it.predictions)
    pd.DataFrame(columns).to_parquet(root / "slices.parquet")
    return replace(it, slices=root / "slices.parquet")


def measured(it: Case) -> Finding:
    found = CHECK.measure(it)
    assert found is not None
    return found


def numbers(n: int = 120) -> pd.DataFrame:
    random = np.random.default_rng(0)
    y = random.normal(size=n)
    return pd.DataFrame({"x": y + random.normal(size=n) / 2, "y": y})


def test_scores_of_slices_are_those_of_their_rows_alone(tmp_path: Path) -> None:
    held, sex = numbers(), np.where(np.arange(120) < 50, "f", "m")
    predicted = held["y"] + np.where(sex == "f", 3.0, 1.0)
    found = measured(sliced(tmp_path, NUMBER, "mae", held, predicted, Sums(), sex=sex))
    value = {part: {name: one.value for name, one in its.items()} for part, its in found.parts.items()}
    before = np.abs(held["x"] - held["y"])
    assert value["sex=f"]["base"] == pytest.approx(before[:50].mean())
    assert value["sex=f"]["fine_tuned"] == pytest.approx(3.0)
    assert value["sex=m"]["worse"] == pytest.approx(1 - before[50:].mean())
    assert (value["sex=f"]["rows"], value["sex=m"]["rows"]) == (50, 70)
    assert "the worst slice is sex=f" in found.reason


def test_a_slice_that_got_worse_fails_the_model_though_the_whole_got_better(tmp_path: Path) -> None:
    held, race = numbers(), np.where(np.arange(120) < 30, "few", "many")
    predicted = np.where(race == "few", held["y"] + 2, held["y"])
    found = measured(sliced(tmp_path, NUMBER, "mae", held, predicted, Sums(), race=race))
    assert found.state == "failed"
    assert "significantly worse than with the base" in found.reason
    assert found.parts["race=few"]["worse"].low > 0 > found.parts["race=many"]["worse"].high
    assert found.parts["race=few"]["p"].value < 0.001


def test_the_unchanged_base_makes_no_slice_worse(tmp_path: Path) -> None:
    held = numbers()
    found = measured(sliced(tmp_path, NUMBER, "mae", held, held["x"], Sums(), race=["a", "b"] * 60))
    assert found.state == "passed"
    assert [part["p"].value for part in found.parts.values()] == [1.0, 1.0]


def test_many_slices_that_differ_by_luck_alone_fail_nothing(tmp_path: Path) -> None:
    """Of 20 slices of noise one is worse at the level of .05; corrected for their number none is."""
    held, random = numbers(1_000), np.random.default_rng(3)
    town = np.array([f"t{n % 20:02}" for n in range(1_000)])
    predicted = held["y"] + random.permutation(held["x"] - held["y"])
    found = measured(sliced(tmp_path, NUMBER, "mae", held, predicted, Sums(), town=town))
    least = min(part["p"].value for part in found.parts.values())
    assert least / 20 < 0.05 < least
    assert found.state == "passed"


def test_slices_with_too_few_rows_or_of_one_class_are_named_and_not_judged(tmp_path: Path) -> None:
    y = np.array([0.0, 1.0] * 60)
    held = pd.DataFrame({"x": np.abs(y - 0.3), "y": y})
    town = np.repeat(["a", "b", "c"], [60, 41, 19])
    held.loc[town == "b", "y"] = 0.0
    found = measured(sliced(tmp_path, CLASSES, "accuracy", held, held["x"], Sums(is_classes=True), town=town))
    assert list(found.parts) == ["town=a"]
    assert "not judged, of too few rows or too few of a class: town=b (41), town=c (19)" in found.reason
    alone = sliced(tmp_path / "c", CLASSES, "accuracy", held, held["x"], None, town=["c"] * 10 + ["d"] * 110)
    assert list(measured(alone).parts) == ["town=d"]


def test_parity_and_opportunity_are_those_by_hand(tmp_path: Path) -> None:
    """Of the women 10 of 40 get yes, of the men 40 of 80; of those who should, 10 of 20 women and 30 of 40 men."""
    y = np.repeat([1.0, 0.0, 1.0, 0.0], [20, 20, 40, 40])
    yes = np.concatenate([np.arange(20) < 10, np.zeros(20), np.arange(40) < 30, np.arange(40) < 10])
    sex = np.repeat(["f", "m"], [40, 80])
    held = pd.DataFrame({"x": np.where(y == 1, 0.9, 0.1), "y": y})  # the base is always right
    found = measured(
        sliced(tmp_path, CLASSES, "accuracy", held, np.where(yes > 0, 0.8, 0.2), Sums(is_classes=True), sex=sex)
    )
    value = {name: one.value for name, one in found.numbers.items()}
    assert value == pytest.approx({
        "parity_difference_sex": 40 / 80 - 10 / 40, "opportunity_difference_sex": 30 / 40 - 10 / 20,
        "parity_difference_sex_of_the_base": 0.0, "opportunity_difference_sex_of_the_base": 0.0,
    })  # fmt: skip


def test_of_more_classes_the_one_that_is_treated_most_differently_counts(tmp_path: Path) -> None:
    three = Problem("multiclass", "y", ("a", "b", "c"))
    y, town = np.tile([0.0, 1.0, 2.0], 40), np.repeat(["u", "v"], 60)
    held = pd.DataFrame({"x": 0.5, "y": y})
    it = sliced(tmp_path, CLASSES, "accuracy", held, held["x"], None, town=town)
    label = np.where((town == "v") & (y == 2), 1, y).astype(int)  # in v every c is taken for a b
    names = [f"probability_{name}" for name in three.classes]
    pd.DataFrame(np.eye(3)[label], columns=names).to_parquet(it.predictions)
    found = measured(replace(it, experiment=replace(it.experiment, problem=three)))
    assert found.numbers["parity_difference_town"].value == pytest.approx(1 / 3)
    assert found.numbers["opportunity_difference_town"].value == pytest.approx(1.0)


def test_without_a_base_slices_are_told_and_nothing_is_judged(tmp_path: Path) -> None:
    held = numbers()
    found = measured(sliced(tmp_path, NUMBER, "mae", held, held["x"], None, town=["a", "b"] * 60))
    assert found.state == "told"
    assert list(found.parts["town=a"]) == ["rows", "fine_tuned"]


def test_where_no_column_is_named_a_fine_tuned_model_is_told_how_and_another_nothing(tmp_path: Path) -> None:
    held = numbers()
    alone = case(tmp_path / "a", NUMBER, "mae", held, held, Sums())
    tuned = case(tmp_path / "b", NUMBER, "mae", held, held, Sums(), base=Sums())
    assert CHECK.measure(alone) is None
    assert measured(tuned).state == "not_measurable"
    assert "slices=[COLUMN,COLUMN]" in measured(tuned).reason
    assert models.load(tuned.trained) == Sums()


def test_the_test_of_a_mean_is_students() -> None:
    random = np.random.default_rng(0)
    sample = random.normal(0.2, 1.0, 60)
    resamples = random.choice(sample, (4_000, 60)).mean(axis=1)
    expected = ttest_1samp(sample, 0.0, alternative="greater").pvalue
    assert one_sided(float(sample.mean()), resamples, 60) == pytest.approx(expected, rel=0.15)
    assert one_sided(0.0, np.zeros(50), 60) == 1.0
    assert one_sided(0.1, np.full(50, 0.1), 60) == 0.0
    assert one_sided(float("nan"), np.full(50, np.nan), 60) == 1.0
