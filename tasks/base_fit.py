"""How a table fits a base: whose columns it must have, whose classes keep their codes, and what in it is new."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from tasks.cells import as_text
from tasks.columns import Columns
from tasks.records import Problem, Roles
from tasks.refusal import Refusal
from tasks.schema import Schema
from tasks.target import Target, codes_of, find_target

LEVELS = "levels.json"  # the levels that a model was trained on, as its family wrote them
INPUTS = "inputs.skops"  # beside it where it holds only those that have an index of their own
MAX_NAMED = 5
MOST_NAMED = 50  # columns, which must all be given
UNREADABLE = 0.01  # of the values from which on it is said that the base can't read them


@dataclass(frozen=True)
class Takes:
    """What a run can take that its base doesn't know: classes, and levels of its columns, beside those it has."""

    classes: bool = False
    levels: bool = False


NOTHING_NEW = Takes()


def has_schema(base: Path | None, roles: Roles) -> bool:
    """Whether a table must be read as the base's was: an encoder of text has neither columns nor classes of its own,
    and a generator reads prompts and responses whatever they are called.

    Raises:
        Refusal: for a base that predicts where text is to be written, and the other way round.
    """
    if base is None or not (base / "schema.json").exists():
        return False
    was, writes = problem_of(base), roles.response is not None
    if was.is_generation != writes:
        what = f"predicts {was.target}" if writes else "writes text"
        other = "leave source.prompt and source.response out" if writes else "name source.prompt and source.response"
        raise Refusal(f"base: it {what} ({was.kind}); choose another base, or {other}.")
    return not writes


def problem_of(base: Path) -> Problem:
    kept = json.loads((base / "problem.json").read_text(encoding="utf-8"))
    return Problem(kept["kind"], kept["target"], tuple(kept["classes"]))


def fit_to(base: Path, raw: Columns, roles: Roles, asked: str, takes: Takes) -> tuple[Schema, Target]:
    """The base's schema, and the target with the base's classes at their codes; new ones, where they are taken, come
    after them. asked: `problem` as the user gave it.

    Raises:
        Refusal: with all that differs: columns that aren't there or are asked to be read otherwise, another kind of
            problem, unknown classes.
    """
    schema = Schema.from_json((base / "schema.json").read_text(encoding="utf-8"))
    faults = _faults_of_columns(schema, raw, roles)
    try:
        target = _target(problem_of(base), raw[str(roles.target)], roles, asked, takes)
    except Refusal as refusal:
        faults += refusal.faults
    if faults:
        raise Refusal(*faults)
    return schema, target


def _faults_of_columns(schema: Schema, raw: Columns, roles: Roles) -> list[str]:
    kinds = {column.name: column.kind for column in schema.columns}
    absent = [name for name in kinds if name not in raw.names]
    faults = [] if not absent else [
        f"base: the table lacks {len(absent)} of the columns that it was trained on: {', '.join(absent[:MOST_NAMED])}"
        f"{', ...' * (len(absent) > MOST_NAMED)}; give each, "
        "empty where unknown, or choose another base."
    ]  # fmt: skip
    others = {"source.target": (roles.target,), "source.weight": (roles.weight,), "source.drop": roles.drop}
    faults += [
        f"base: it was trained on the column {name}, which is {key} here; choose another base, or another {key}."
        for key, names in others.items() for name in names if name in kinds
    ]
    asked = {"numeric": roles.numeric, "categorical": roles.categorical, "text": roles.text}
    return faults + [
        f"source.{kind}={name}: the base was trained on it as {kinds[name]}, and it is read so; leave it out of "
        f"source.{kind}, or choose another base."
        for kind, names in asked.items() for name in names if kinds.get(name, kind) != kind
    ]


def _target(was: Problem, values: pd.Series[Any], roles: Roles, asked: str, takes: Takes) -> Target:
    found = find_target(values, roles, asked)
    if asked == "auto" and found.problem.is_classification != was.is_classification:
        found = _as_the_base_has_it(was, values, roles, found)
    if found.problem.is_classification != was.is_classification:
        raise Refusal(
            f"base: it was trained on a {was.kind} problem, {_described(was)}; {found.problem.target} poses a "
            f"{found.problem.kind} one, {_described(found.problem)}. Choose another base, or another source.target."
        )
    said = found.notes[: int(found.codes.isna().any())]  # of rows without a target; the others are of kind and classes
    if not was.is_classification:
        return Target(Problem(was.kind, found.problem.target, ()), found.codes, said)
    return _with_its_classes(was, values, roles, found, takes, said)


def _as_the_base_has_it(was: Problem, values: pd.Series[Any], roles: Roles, found: Target) -> Target:
    """Numbers are what the base took them for: a few whole ones may be no classes, and many may."""
    text = as_text(values).dropna()
    if was.is_classification:
        is_known = text.isin(list(codes_of(was.classes))).all()
        return find_target(values, roles, "multiclass") if is_known else found
    is_number = pd.to_numeric(text, errors="coerce").notna().all()
    return find_target(values, roles, "regression") if is_number else found


def _with_its_classes(
    was: Problem, values: pd.Series[Any], roles: Roles, found: Target, takes: Takes, said: list[str]
) -> Target:
    text, known = as_text(values), codes_of(was.classes)
    new = [label for name, label in zip(codes_of(found.problem.classes), found.problem.classes, strict=True)
           if name not in known]  # fmt: skip
    n_new = int((text.notna() & ~text.isin(list(known))).sum())
    remedy = "leave those rows out, or choose" if n_new < text.notna().sum() else "choose another base,"
    faults = _faults(was, roles, found.problem, new, n_new, remedy, takes)
    if faults:
        raise Refusal(*faults)
    classes = (*was.classes, *new)
    lacking = [label for label in was.classes if not (text == next(iter(codes_of([label])))).any()]
    if lacking:
        said = [*said, f"no row is of {_named(lacking)}; the base's {len(was.classes)} classes are kept, in its order"]
    if new:
        said = [*said, f"new to the base: {_named(new)}; they come after its own classes"]
    problem = Problem("multiclass" if new else was.kind, found.problem.target, classes)
    codes = text.map(codes_of(classes), na_action="ignore").astype("float64")
    return Target(problem, codes, said)


def _faults(
    was: Problem, roles: Roles, problem: Problem, new: list[Any], n_new: int, remedy: str, takes: Takes
) -> list[str]:
    faults = []
    if new and not takes.classes:
        faults.append(
            f"base: {problem.target} has {_named(new)} in {n_new:,} rows, which the base doesn't know (it knows "
            f"{', '.join(map(str, was.classes[:MAX_NAMED]))}{', ...' * (len(was.classes) > MAX_NAMED)}) and this "
            f"strategy can't add; {remedy} strategy=pooled or strategy=from_scratch."
        )
    positive = roles.positive
    if positive is not None and was.kind == "binary" and not new and positive != str(was.classes[1]):
        faults.append(
            f"source.positive={positive}: the base's positive class is {was.classes[1]}; leave source.positive out."
        )
    return faults


def _named(labels: list[Any]) -> str:
    shown = ", ".join(map(str, labels[:MAX_NAMED])) + ", ..." * (len(labels) > MAX_NAMED)
    return f"the class {shown}" if len(labels) == 1 else f"{len(labels)} classes ({shown})"


def _described(problem: Problem) -> str:
    return f"with {_named(list(problem.classes))}" if problem.is_classification else "of numbers"


def news(base: Path, schema: Schema, raw: Columns, roles: Roles, features: Columns, takes: Takes) -> list[str]:
    """What to say of columns that the base doesn't know, and of values that it hasn't seen, or can't read.

    Raises:
        Refusal: for columns of which it can read nothing; all at once.
    """
    faults, notes = [], []
    for column in schema.columns:
        given = raw[column.name].notna().to_numpy()
        lost = features[column.features()[0]].isna().to_numpy() & given
        n_given, n_lost = int(given.sum()), int(lost.sum())
        if n_given and n_lost == n_given:
            faults.append(
                f"base: it reads {column.name} as {column.kind}, and none of the table's values can be read so (such "
                f"as {raw[column.name][lost].iloc[0]!r}); give it as the base's source has it."
            )
        elif n_lost > UNREADABLE * n_given:
            such = raw[column.name][lost].iloc[0]
            notes.append(
                f"{column.name}: {n_lost:,} values such as {such!r} count as missing, for the base reads the column as "
                f"{column.kind}"
            )
    if faults:
        raise Refusal(*faults)
    return [*_left_out(schema, raw, roles), *notes, *_new_levels(base, features, takes)]


def _left_out(schema: Schema, raw: Columns, roles: Roles) -> list[str]:
    """Whatever the strategy: from scratch, which the base must beat, they are left out too."""
    has_role = {roles.target, roles.response, roles.group, roles.time, roles.weight, *roles.drop, *roles.key}
    known = has_role | {column.name for column in schema.columns}
    names = [name for name in raw.names if name not in known]
    if not names:
        return []
    more = f" and {len(names) - MAX_NAMED:,} more" if len(names) > MAX_NAMED else ""
    which = "1 column that the base doesn't know is" if len(names) == 1 else (
        f"{len(names):,} columns that the base doesn't know are")  # fmt: skip
    return [f"{which} left out: {', '.join(names[:MAX_NAMED])}{more}"]


def _new_levels(base: Path, features: Columns, takes: Takes) -> list[str]:
    path = next(iter(sorted(base.rglob(LEVELS))), None)
    known = {} if path is None else json.loads(path.read_text(encoding="utf-8"))["levels"]
    is_whole = path is None or not path.with_name(INPUTS).exists()
    seen = "hasn't seen" if is_whole else "hasn't seen, or in too few rows to tell them apart"
    handled = "they are added" if takes.levels else "they are handled as unseen"
    notes = []
    for name in features.names:
        if name not in known:
            continue
        is_new = features[name].notna() & ~features[name].isin(known[name])
        levels = sorted(features[name][is_new].unique())
        if levels:
            notes.append(
                f"{name}: {len(levels):,} level{'s' * (len(levels) != 1)} that the base {seen} (such as "
                f"{levels[0]!r}) in {int(is_new.sum()):,} rows; {handled}"
            )
    return notes
