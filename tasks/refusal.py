"""The one exception that a user's mistake raises: what to say, never a traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class Refusal(Exception):  # noqa: N818  (it is no error of the program's)
    """What the user asked for can't be done; every fault found, in the words the user typed.

    Each fault names the key, the value and the remedy. Commands print the faults and exit with status 2.
    """

    def __init__(self, *faults: str) -> None:
        self.faults = faults
        super().__init__("\n".join(faults))


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """`; did you mean 'lightgbm'?` where one of the choices is spelt nearly so, else a full stop."""
    near = difflib.get_close_matches(word, list(choices), n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else "."
