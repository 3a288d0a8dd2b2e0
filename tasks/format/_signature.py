"""Names of a SavedModel's inputs: TensorFlow takes no name that a node of its graphs may not have."""

from __future__ import annotations

import re
from collections.abc import Iterable


def signature_names(columns: Iterable[str]) -> dict[str, str]:
    """For each column its own name, or one that is as near to it as may be: letters, digits, `_` and `.`, unique
    whatever the case."""
    taken: set[str] = set()
    names: dict[str, str] = {}
    for column in columns:
        plain = re.sub(r"[^A-Za-z0-9_.]", "_", column)
        plain = plain if re.match(r"[A-Za-z0-9.]", plain) else f"column{plain}"
        name, n = plain, 2
        while name.lower() in taken:
            name, n = f"{plain}_{n}", n + 1
        taken.add(name.lower())
        names[column] = name
    return names
