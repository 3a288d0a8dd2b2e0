"""What may be compared, and what is refused by name, before anything is read."""

from __future__ import annotations

import pytest

from flows import comparable
from flows.config import compose
from tasks.refusal import Refusal


def checked(*overrides: str) -> dict[str, list[str]]:
    choices = comparable.choices(overrides)
    comparable.check(overrides, {name: compose(texts) for name, texts in choices.items()})
    return choices


def faults(*overrides: str) -> tuple[str, ...]:
    with pytest.raises(Refusal) as refused:
        checked(*overrides)
    return refused.value.faults


@pytest.mark.parametrize(
    "overrides",
    [
        ("search=random,genetic",),
        ("model=lightgbm,[lightgbm,linear]",),
        ("loss=auto,cross_entropy",),
        ("model.lightgbm.hyperparameters.num_leaves=15,31", "search=none"),
        ("search.window=1,4",),
        ("search.racing=2.5,null",),
    ],
)
def test_what_decides_how_a_model_is_found_can_be_compared(overrides: tuple[str, ...]) -> None:
    assert len(checked(*overrides)) == 2


def test_of_two_keys_every_combination_is_a_choice() -> None:
    assert list(checked("search=random,grid", "model=linear,forest", "search.trials=12")) == [
        "search=random model=linear", "search=random model=forest", "search=grid model=linear",
        "search=grid model=forest",
    ]  # fmt: skip


def test_all_searches_spend_the_same_fold_fits_unless_racing_was_asked_for() -> None:
    assert checked("search=random,genetic")["search=random"][-1] == "search.racing=null"
    for asked in ("search.racing=2", "search.seconds=60"):
        assert "search.racing=null" not in checked("search=random,genetic", asked)["search=random"]


@pytest.mark.parametrize("overrides", [(), ("search=random",), ("source.path=a.csv,b.csv", "source=file")])
def test_without_several_values_there_is_nothing_to_compare(overrides: tuple[str, ...]) -> None:
    (fault,) = faults(*overrides)
    assert "search=random,genetic" in fault


@pytest.mark.parametrize(
    ("varied", "what"),
    [
        ("source.path='a.csv','b.csv'", "the data"),
        ("source.name=iris,wine", "the data"),
        ("seed=1,2", "the folds"),
        ("folds.n_splits=3,5", "the folds"),
        ("folds=kfold,stratified", "the folds"),
        ("holdout.fraction=0.1,0.2", "the holdout"),
        ("metric=roc_auc,log_loss", "what is selected on"),
        ("problem=binary,multiclass", "the problem"),
        ("search.trials=5,10", "the budget"),
        ("search.seconds=5,10", "the budget"),
    ],
)
def test_what_all_choices_must_share_is_refused_by_name_with_the_remedy(varied: str, what: str) -> None:
    extra = ("source=file",) if "path" in varied else ()
    (fault,) = faults(varied, *extra)
    assert fault.startswith(f"{varied} changes {what}, ")
    assert f"`finefold run --multirun {varied}`" in fault


def test_what_decides_nothing_is_refused() -> None:
    (fault,) = faults("output=text,json")
    assert "output=text,json decides nothing of a result" in fault


def test_all_faults_are_told_at_once() -> None:
    said = faults("metric=roc_auc,log_loss", "holdout.fraction=0.1,0.2", "ensemble=greedy")
    assert [fault.split()[0] for fault in said] == ["holdout.fraction=0.1,0.2", "metric=roc_auc,log_loss",
                                                    "ensemble=greedy:"]  # fmt: skip


def test_one_configuration_under_two_names_is_refused() -> None:
    (fault,) = faults("model=lightgbm,[lightgbm]")
    assert fault.startswith("model=lightgbm and model=[lightgbm] are the same configuration")
