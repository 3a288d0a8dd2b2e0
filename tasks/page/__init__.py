"""Page: the report of a run, one file of code for each section; what a run has nothing to show of is left out."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence

from tasks.page import (
    calibration,
    checks,
    data,
    export,
    failures,
    features,
    folds,
    generations,
    learning,
    model,
    promotion,
    reproduce,
    scores,
    search,
    slices,
)
from tasks.page._answers import answers
from tasks.page._blocks import (
    Answer,
    Block,
    Cell,
    Code,
    Content,
    Facts,
    Folded,
    Page,
    Picture,
    Points,
    Remark,
    Section,
    Span,
    Table,
    Text,
    Tone,
)
from tasks.page._card import card_of
from tasks.page._html import html_of
from tasks.page._values import Setting, Values, picture

__all__ = [
    "Answer", "Block", "Cell", "Code", "Content", "Facts", "Folded", "Page", "Picture", "Points", "Remark", "Section",
    "Setting", "Span", "Table", "Text", "Tone", "Values", "card_of", "html_of", "page_of", "picture",
]  # fmt: skip

# In the order of the page. Each gives its section, or None where the run has nothing to show of it.
SECTIONS: dict[str, Callable[[Values], Section | None]] = {
    "scores": scores.section,
    "checks": checks.section,
    "promotion": promotion.section,
    "generations": generations.section,
    "slices": slices.section,
    "failures": failures.section,
    "calibration": calibration.section,
    "features": features.section,
    "model": model.section,
    "export": export.section,
    "data": data.section,
    "folds": folds.section,
    "search": search.section,
    "learning": learning.section,
    "reproduce": reproduce.section,
}


def page_of(values: Values) -> Page:
    """The page of a run. A section that can't be made says so in its place: a report never ends a run."""
    sections = [made for name in SECTIONS if (made := _made(name, values)) is not None]
    sections = [*sections[:-1], *values.more, *sections[-1:]]
    setting, problem = values.setting, values.prepared.problem
    subtitle = (
        f"{problem.kind} of {problem.target}: {values.trained.family}, the best of {values.counts.finished:,} trials; "
        f"{setting.date}, {setting.seconds:.0f} s"
    )
    links = [("MLflow", setting.mlflow_url), ("Prefect", setting.prefect_url)]
    return Page(values.prepared.name, subtitle, _answered(values, sections), sections, links)


def _made(name: str, values: Values) -> Section | None:
    try:
        return SECTIONS[name](values)
    except Exception as error:  # whatever it is, the model is there, and so are the other sections
        return _faulty(name, error)


def _answered(values: Values, sections: list[Section]) -> Sequence[Answer]:
    try:
        return answers(values, sections)
    except Exception as error:
        sections.insert(0, _faulty("answers", error))
        return ()


def _faulty(name: str, error: Exception) -> Section:
    fault = f"The section {name} could not be made: {''.join(traceback.format_exception_only(error)).strip()}"
    return Section(name, name.capitalize(), [Text(fault, "warn")], [Remark(fault, "warn")], fault=fault)
