"""Generations: what the model writes for prompts of the holdout, beside the reference and what its base wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from tasks.page._blocks import Content, Section, Table
from tasks.page._number import decimals_of, fixed, interval
from tasks.page._values import Values
from tasks.verdict import Number

N_SHOWN, N_LETTERS = 12, 240
COLUMNS = {"prompt": "prompt", "reference": "reference", "before": "the base", "after": "the model"}


def section(values: Values) -> Section | None:
    """Left out for a model that writes nothing."""
    found = values.generated
    if found is None:
        return None
    table = pd.read_parquet(found.table)
    names = [name for name in COLUMNS if name in table]
    shown = table.iloc[:: max(1, len(table) // N_SHOWN)].head(N_SHOWN)
    rows: list[Sequence[Content]] = [[_cut(text) for text in row] for row in shown[names].itertuples(index=False)]
    note = (
        "The most probable token is written each time. Exact: the same words; F1: words in common (Rajpurkar et al. "
        "2016). All rows are in generations.json of the MLflow run."
    )
    scores = [
        [name.replace("_", " "), _said(found.scores[name]), _said(found.before[name]) if found.before else ""]
        for name in found.scores
    ]
    caption = f"Responses to {found.n_rows:,} prompts of the holdout against their references"
    blocks = [
        Table(caption, ["", "the model", "the base"], scores, "lrr", note),
        *([] if not found.slices else [_by_slice(found.slices)]),
        Table("Some of them", [COLUMNS[name] for name in names], rows, "l" * len(names)),
    ]
    return Section("generations", "What it writes", blocks, in_card=2)


def _by_slice(slices: Mapping[str, Mapping[str, Number]]) -> Table:
    names = [name for name in next(iter(slices.values())) if name != "rows"]
    rows = [[one, f"{of['rows'].value:,.0f}", *(_said(of[name]) for name in names)] for one, of in slices.items()]
    head = ["slice", "rows", *(name.replace("_", " ") for name in names)]
    return Table("By slice", head, rows, "l" + "r" * (len(head) - 1))


def _said(number: Number) -> str:
    decimals = decimals_of(number.low, number.high)
    ends = interval(number.low, number.high, decimals)
    return fixed(number.value, decimals) + (f" ({ends})" if ends else "")


def _cut(text: object) -> str:
    one = " ".join(str(text).split())
    return one if len(one) <= N_LETTERS else f"{one[: N_LETTERS - 1]}…"
