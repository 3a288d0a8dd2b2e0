"""Compared: a comparison as a page of the same look as a run's report."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from flows.screen import cells, headings, short, verdict
from tasks.comparison import Comparison
from tasks.page import Answer, Block, Code, Page, Points, Remark, Section, Table, picture


def page(made: Comparison, title: str, overrides: Sequence[str]) -> Page:
    """Which choice is the best and how surely, the table, the picture, and the command."""
    failed = [Remark(f"{one.choice} failed: {one.error}", "bad") for one in made.failed]
    sections = [
        Section("choices", "The choices", _choices(made), failed, in_card=1),
        Section("runs", "Their runs", [_runs(made)]),
        Section("reproduce", "How to reproduce", [Code(_command(overrides), "To run it again")], in_card=1),
    ]
    subtitle = f"{made.metric} ({made.problem}), each choice on the same {made.n_folds} folds"
    return Page(title, subtitle, _answers(made), sections, [("MLflow", made.mlflow_url)])


def _answers(made: Comparison) -> list[Answer]:
    if made.best is None:
        return [Answer("Which is the best?", "None", "bad", "every choice failed", "choices")]
    is_sure = not made.indistinguishable
    sure = Answer(
        "Is it surely better?", "Yes" if is_sure else "No", "good" if is_sure else "warn", verdict(made), "choices"
    )
    return [Answer("Which is the best?", made.best, "", "by the mean over the folds", "choices"), sure]


def _choices(made: Comparison) -> list[Block]:
    head = headings(made)
    blank = [""] * (len(head) - 2)
    rows = [cells(made, one) + (blank if one.error else []) for one in made.choices]
    strong = frozenset(n for n, one in enumerate(made.choices) if one.choice == made.best)
    note = f"In brackets 95 % intervals; of the folds ({made.n_folds}), with what they share taken into account."
    table = Table("Each choice", head, rows, "l" + "r" * (len(head) - 1), note, strong)
    return [table, *([picture(Path(made.plot))] if made.plot else [])]


def _runs(made: Comparison) -> Points:
    told = []
    for one in made.choices:
        settings = ", ".join(f"{name} {short(value)}" for name, value in (one.hyperparameters or {}).items())
        told += [] if one.error else [f"{one.choice}: run {one.run_id}, {one.model_uri}; {settings}"]
    return Points(told)


def _command(overrides: Sequence[str]) -> str:
    return " ".join(["finefold compare", *map(shlex.quote, overrides)])
