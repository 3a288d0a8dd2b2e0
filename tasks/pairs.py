"""Pairs of prompt and response, from which a model learns to write: their columns, and their target."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from tasks.cells import verbatim
from tasks.columns import Columns
from tasks.find_out import Found
from tasks.records import Problem, Roles
from tasks.refusal import Refusal
from tasks.schema import Column, Schema
from tasks.target import Target


def roles_of(roles: Roles, problem: str, *, writes: bool) -> Roles:
    """The roles with the response as the target, where the run's families write; a target, or a single column of text,
    is the response where none is named.

    Raises:
        Refusal: for prompts and responses that no family of the run writes, and where there is no response.
    """
    if not writes:
        named = ["problem=generation"] if problem == "generation" else []
        named += [f"source.{key}={name}" for key in ("prompt", "response") if (name := getattr(roles, key)) is not None]
        if named:
            raise Refusal(f"{', '.join(named)}: only model=text_generator writes; choose it, or leave them out.")
        return roles
    of_text = roles.text[0] if len(roles.text) == 1 else None
    response = roles.response or roles.target or of_text
    faults = []
    if problem not in ("auto", "generation"):
        faults.append(f"problem={problem}: model=text_generator writes text; leave it out, or choose another model.")
    if response is None:
        faults.append("source.response is needed: the column that model=text_generator is to write, with source.prompt "
                      "what it answers to; source.text=[COLUMN] for plain texts.")  # fmt: skip
    elif roles.target not in (None, response):
        faults.append(f"source.target={roles.target}: what is written is source.response={response}; leave it out.")
    elif roles.prompt == response:
        faults.append(f"source.prompt={roles.prompt}: this is the response too; leave it out for plain texts.")
    if faults:
        raise Refusal(*faults)
    return replace(roles, target=response, response=response, text=())


def target(raw: Columns, roles: Roles) -> Target:
    """codes: (n_rows,) the number of bytes of each response; NaN where a row is left out.

    Raises:
        Refusal: for responses and prompts that are missing or blank, unless such rows are to be left out.
    """
    known = {key: length(raw[name]) for key in ("prompt", "response") if (name := getattr(roles, key)) is not None}
    faults = []
    for key, lengths in known.items():
        n_missing = int(lengths.isna().sum())
        if n_missing and not roles.drop_missing_target:
            what = "without it a prompt teaches nothing" if key == "response" else (
                "leaving source.prompt out trains on the responses alone"
            )
            faults.append(f"source.{key}={getattr(roles, key)}: {n_missing:,} of {len(lengths):,} are empty; {what}; "
                          "source.drop_missing_target=true leaves those rows out.")  # fmt: skip
    if faults:
        raise Refusal(*faults)
    codes = known["response"].where(np.all([one.notna() for one in known.values()], axis=0))
    n_left_out = int(codes.isna().sum())
    if n_left_out == len(codes):
        raise Refusal(f"source.response={roles.response}: no row has a response and a prompt; is it the right table?")
    rows = "row" if n_left_out == 1 else "rows"
    notes = [f"{n_left_out:,} {rows} without a prompt or a response left out"] if n_left_out else []
    return Target(Problem("generation", str(roles.response), ()), codes, notes)


def length(values: pd.Series[Any]) -> pd.Series[float]:
    """(n_rows,) bytes of UTF-8; NaN for a blank one."""
    text = verbatim(values)
    found = [np.nan if one is None or one != one else len(one.encode("utf-8", "surrogatepass")) for one in text]
    return pd.Series(found, index=values.index, dtype="float64")


def columns(raw: Columns, roles: Roles) -> Found:
    """The prompt, where there is one, and the response, as they are; nothing else is looked at."""
    names = [name for name in (roles.prompt, roles.response) if name is not None]
    used = {*names, *roles.drop, *roles.key, roles.group, roles.weight, roles.time}
    others = [name for name in raw.names if name not in used]
    notes = [f"{len(others):,} other columns are not read"] if others else []
    return Found(Schema(tuple(Column(name, "verbatim", "string") for name in names)), notes, (), ())


def asked(X: pd.DataFrame) -> tuple[list[str], list[str]]:
    """(n,) what a model is asked, and (n,) what it should write: of plain texts the first half of the words, and the
    rest. X: typed, prompt and response or the response alone."""
    if X.shape[1] > 1:
        prompts, references = (X.iloc[:, place].fillna("").tolist() for place in range(2))
        return prompts, references
    halves = [_halves(text) for text in X.iloc[:, 0].fillna("")]
    return [first for first, _ in halves], [rest for _, rest in halves]


def _halves(text: str) -> tuple[str, str]:
    words = re.split(r"(?<=\S)(?=\s)", text)  # each with the space before it: nothing is lost between the halves
    middle = (len(words) + 1) // 2
    return "".join(words[:middle]), "".join(words[middle:]).lstrip()
