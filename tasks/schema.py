"""The columns that features are made of, and how raw rows, as the user has them, become typed features."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

import pandas as pd

from tasks.cells import as_numbers, as_text, as_times, as_truth, verbatim
from tasks.records import Roles
from tasks.refusal import Refusal, did_you_mean

Kind = Literal["numeric", "boolean", "categorical", "time", "text", "verbatim"]

TIME_PARTS = ("year", "month", "day", "weekday", "hour", "minute", "days")
MAX_NAMED = 10


@dataclass(frozen=True)
class Column:
    """A column of the user's table that is used. `format` and `parts` are for times: how the text is read, and
    which parts of the date become features; `raw` is the type that a caller of the model is asked for."""

    name: str
    kind: Kind
    raw: Literal["double", "boolean", "string", "datetime"]
    format: str | None = None
    parts: tuple[str, ...] = ()

    def features(self) -> list[str]:
        return [f"{self.name} ({part})" for part in self.parts] if self.kind == "time" else [self.name]

    def read(self, values: pd.Series[Any]) -> dict[str, pd.Series[Any]]:
        """The features of the raw values (n_rows,): numbers float64, others text (dtype str); missing is NaN, and so
        are infinities."""
        if self.kind == "numeric":
            return {self.name: as_numbers(values)}
        if self.kind == "boolean":
            return {self.name: as_truth(values)}
        if self.kind == "verbatim":
            return {self.name: verbatim(values)}
        if self.kind in ("categorical", "text"):
            return {self.name: as_text(values)}
        times = as_times(values, self.format)
        return {feature: part_of(times, part) for feature, part in zip(self.features(), self.parts, strict=True)}


@dataclass(frozen=True)
class Schema:
    """The columns that features are made of, in order."""

    columns: tuple[Column, ...]

    @property
    def features(self) -> list[str]:
        return [feature for column in self.columns for feature in column.features()]

    @property
    def text(self) -> tuple[str, ...]:
        """The features that are prose, for the families that read it."""
        return tuple(column.name for column in self.columns if column.kind in ("text", "verbatim"))

    def apply(self, raw: pd.DataFrame) -> pd.DataFrame:
        """Typed features: numeric ones float64, others text (dtype str); missing is NaN, and so are infinities.
        Columns that are not needed are left alone.

        Raises:
            Refusal: when columns are missing or there are two of one name; names them.
        """
        places = _places(raw.columns, [column.name for column in self.columns])
        typed: dict[str, Any] = {}
        for column in self.columns:
            typed.update(column.read(raw.iloc[:, places[column.name]]))
        return pd.DataFrame(typed, index=raw.index, columns=self.features)

    def check(self, names: Iterable[str]) -> None:
        """Raises a Refusal when columns that are needed are not among the names; names them."""
        _places(names, [column.name for column in self.columns])

    def to_json(self) -> str:
        return json.dumps([asdict(column) for column in self.columns], ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Schema:
        return cls(tuple(Column(**{**column, "parts": tuple(column["parts"])}) for column in json.loads(text)))


def check_roles(names: Iterable[str], roles: Roles) -> list[str]:
    """A fault for every role that names a column that isn't there, with the nearest name."""
    known = list(names)
    present = set(known)
    given = [
        (f"source.{role}", name)
        for role in ("target", "prompt", "response", "group", "time", "weight")
        if (name := getattr(roles, role))
    ]
    given += [
        (f"source.{role}", name)
        for role in ("drop", "numeric", "categorical", "text", "key")
        for name in getattr(roles, role)
    ]
    return [
        f"{key}={name}: the table has no such column{did_you_mean(name, known)}"
        for key, name in given
        if name not in present
    ] + _clashes(roles)


def part_of(times: pd.Series[Any], part: str) -> pd.Series[float]:
    """One of TIME_PARTS of each time, as float64; NaN where there is none."""
    if part == "days":
        return (times - pd.Timestamp("1970-01-01")) / pd.Timedelta(days=1)
    attribute = {"weekday": "day_of_week"}.get(part, part)
    parts: pd.Series[float] = getattr(times.dt, attribute).astype("float64")
    return parts


def _clashes(roles: Roles) -> list[str]:
    """Roles that can't go together; the target among the others would give itself away."""
    singles = [("group", roles.group), ("time", roles.time), ("weight", roles.weight), ("prompt", roles.prompt)]
    lists = [("drop", roles.drop), ("numeric", roles.numeric), ("categorical", roles.categorical)]
    lists += [("text", roles.text), ("key", roles.key)]
    held = [key for key, name in singles if name and name == roles.target]
    held += [key for key, names in lists if roles.target in names]
    return [f"source.{key}={roles.target}: this is the target; name another column." for key in held]


def _places(given: Iterable[Any], names: list[str]) -> dict[str, int]:
    places: dict[str, int] = {}
    twice = set()
    for place, name in enumerate(given):
        twice.update([str(name)] if str(name) in places else [])
        places[str(name)] = place
    absent = [name for name in names if name not in places]
    if absent:
        raise Refusal(
            f"the rows lack {len(absent)} of the columns that the model was trained on: "
            f"{', '.join(absent[:MAX_NAMED])}{', ...' * (len(absent) > MAX_NAMED)}; give each, empty where unknown."
        )
    doubled = sorted(twice.intersection(names))
    if doubled:
        raise Refusal(f"the rows have several columns of one name: {', '.join(doubled[:MAX_NAMED])}; rename them.")
    return places
