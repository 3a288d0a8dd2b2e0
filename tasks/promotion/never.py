"""Never: no version becomes the champion by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tasks.promotion import Contest
from tasks.ruling import Ruling


@dataclass(frozen=True)
class Never:
    """The first version of a name stays a challenger too."""

    name: ClassVar[str] = "never"
    compares: ClassVar[bool] = False

    def rule(self, contest: Contest) -> Ruling:
        return Ruling("kept", "promotion=never promotes none", contest.champion)
