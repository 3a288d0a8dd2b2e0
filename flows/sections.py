"""Sections: those of conf/config.yaml that belong to a command of its own; the YAML says what each key does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from tasks.periods import Kind


@dataclass(frozen=True)
class Replay:
    """policies: names of `flows/policies.py`."""

    period: Kind
    first: Annotated[int, Field(ge=1)]
    policies: tuple[str, ...]
    recent: Annotated[int, Field(ge=1)]
    held: Annotated[float, Field(gt=0)]
    trials: Annotated[int, Field(ge=1)]


@dataclass(frozen=True)
class Runs:
    last: Annotated[int, Field(ge=1)]
    state: Literal["finished", "failed", "running", "killed"] | None


@dataclass(frozen=True)
class Clean:
    days: Annotated[float, Field(ge=0)]
    last: Annotated[int, Field(ge=0)]
    models: bool
    do: bool
