"""Folds: which rows were trained on, validated and sealed, and what the winner scored on each fold."""

from __future__ import annotations

from tasks.page._blocks import Facts, Section, Table
from tasks.page._number import decimals_of_all, fixed
from tasks.page._values import Values

MOST_FOLDS = 50


def section(values: Values) -> Section:
    """The drawing of the scheme, and the scores by fold."""
    split, winner = values.split, values.winner
    facts = [
        ("scheme", str(values.setting.choices.get("folds", ""))), ("training rows", f"{split.n_train:,}"),
        ("holdout rows", f"{split.n_holdout:,}"), ("digest", split.digest),
    ]  # fmt: skip
    shown = sorted(winner.folds, key=lambda one: one.fold)[:MOST_FOLDS]
    of_value, of_cost = decimals_of_all(one.value for one in shown), decimals_of_all(one.cost for one in shown)
    rows = [
        [str(one.fold), fixed(one.value, of_value), fixed(one.cost, of_cost),
         "" if one.rounds is None else f"{one.rounds:,}", f"{one.seconds:.2f}"]
        for one in shown
    ]  # fmt: skip
    head = ("fold", values.metric, f"cost ({values.loss})", "rounds", "seconds")
    table = Table("The winner on the validation rows of each fold", head, rows, "lrrrr")
    return Section("folds", "Folds", [Facts(facts), *values.pictures("fold_scheme"), table])
