"""Values that are the user's own names (columns, paths, URLs, queries): read as typed, not by Hydra's grammar."""

from __future__ import annotations

import re

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
    "search.warm_start",  # an MLflow run's id may look like a number
}
LISTS_OF_NAMES = {"source.columns", "source.drop", "source.key", "source.text", "source.numeric", "source.categorical"}
SECRET_REFERENCE = "${oc.env:"
# Quoted, or anything up to the next comma; an apostrophe inside a name opens no quote.
NAME_IN_A_LIST = re.compile(r"""\s*(?:"([^"]*)"|'([^']*)'|([^,]+))\s*(?:,|$)""")


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
    names = (next(filter(None, found), "") for found in NAME_IN_A_LIST.findall(text[1:-1]))
    return [_escape(name.strip()) for name in names if name.strip()]


def _escape(text: str) -> str:
    return text if SECRET_REFERENCE in text else text.replace("${", "\\${")
