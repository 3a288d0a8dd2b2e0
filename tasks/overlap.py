"""How much of a reference a written response has: word for word, and word by word."""

from __future__ import annotations

import re
from collections import Counter

WORD = re.compile(r"\w+|[^\w\s]")


def is_exact(written: str, reference: str) -> bool:
    """Whether both are the same, but for the width of their spaces."""
    return written.split() == reference.split()


def token_f1(written: str, reference: str) -> float:
    """The harmonic mean of precision and recall of words and marks, each as often as it occurs, whatever their case
    (Rajpurkar et al. 2016, SQuAD, section 6.1; without leaving out articles, which are English)."""
    given, wanted = (Counter(WORD.findall(text.casefold())) for text in (written, reference))
    n_shared = sum((given & wanted).values())
    return 2 * n_shared / (sum(given.values()) + sum(wanted.values())) if n_shared else 0.0
