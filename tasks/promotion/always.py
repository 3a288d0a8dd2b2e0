"""Always: whatever passed its checks is the champion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tasks.promotion import Contest
from tasks.ruling import Ruling


@dataclass(frozen=True)
class Always:
    """The newest version, however it compares with the one before."""

    name: ClassVar[str] = "always"
    compares: ClassVar[bool] = False

    def rule(self, contest: Contest) -> Ruling:
        if contest.champion is None:
            return Ruling("first", "there was no champion")
        return Ruling("promoted", "promotion=always compares it with none", contest.champion)
