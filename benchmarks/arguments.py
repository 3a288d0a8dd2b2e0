"""What is given to a benchmark on its command line: `name=value`, each name known, each value of its kind."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence


def check(known: Iterable[str], words: Iterable[str] = ()) -> None:
    """Ends the process with status 2 on a name or a word that the benchmark doesn't know."""
    names, said = set(known), set(words)
    unknown = [text for text in sys.argv[1:] if ("=" in text or text not in said) and _key(text) not in names]
    if unknown:
        choices = ", ".join([*(f"{name}=..." for name in sorted(names)), *sorted(said)])
        print(f"{' '.join(unknown)}: not known here. Choices: {choices}.", file=sys.stderr)
        sys.exit(2)


def _key(text: str) -> str | None:
    key, equals, _ = text.partition("=")
    return key if equals else None


def text(name: str, default: str) -> str:
    given = [word.partition("=")[2] for word in sys.argv[1:] if _key(word) == name]
    return given[-1] if given else default


def numbers(name: str, default: Sequence[int]) -> list[int]:
    """`rows=2000,50000`"""
    return [int(value) for value in text(name, ",".join(map(str, default))).split(",")]


def names(name: str, default: Sequence[str]) -> list[str]:
    """`only=telco,adult`; ends the process with status 2 on one that isn't among `default`."""
    chosen = [value for value in text(name, ",".join(default)).split(",") if value]
    unknown = [value for value in chosen if value not in default]
    if unknown:
        print(f"{name}={','.join(unknown)}: not among {', '.join(default)}.", file=sys.stderr)
        sys.exit(2)
    return chosen
