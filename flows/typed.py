"""Values that are the user's own names (columns, paths, URLs, queries): read as typed, not by Hydra's grammar."""

from __future__ import annotations

import csv

NAMES = {
    "source.path",
    "source.target",
    "source.url",
    "source.query",
    "source.group",
    "source.time",
    "source.weight",
    "source.positive",
    "holdout.path",
}
LISTS_OF_NAMES = {"source.columns", "source.drop", "source.key", "source.text", "source.numeric", "source.categorical"}
SECRET_REFERENCE = "${oc.env:"


def is_typed_as_is(key: str) -> bool:
    """Whether spaces, commas, quotes, `=`, `1` and `null` in this key's value mean themselves."""
    return key in NAMES or key in LISTS_OF_NAMES


def read_typed_value(key: str, text: str) -> str | list[str]:
    """The name, or for a key that takes several the names: `[a,"b, c"]`, or one name without brackets.

    `${oc.env:NAME}` stays a reference; any other `$` is a letter like the others.
    """
    if key in NAMES:
        return _escape(text)
    if not (text.startswith("[") and text.endswith("]")):
        return [_escape(text)]
    inside = text[1:-1]
    if not inside.strip():
        return []
    quote = "'" if "'" in inside and '"' not in inside else '"'
    names = next(csv.reader([inside], skipinitialspace=True, quotechar=quote))
    return [_escape(name.strip()) for name in names]


def _escape(text: str) -> str:
    return text if SECRET_REFERENCE in text else text.replace("${", "\\${")
