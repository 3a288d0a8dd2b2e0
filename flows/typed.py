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
    "base",
    "source_data",
    "pretrain.licence",
    "pretrain.origin",
    "predictions.version",
    "predictions.path",
    "predictions.url",
    "predictions.table",
    "predictions.rejects",
    "labels.path",
}
OR_NULL = {"base", "source_data", "pretrain.licence", "pretrain.origin", "predictions.path", "predictions.url",
           "predictions.table", "predictions.rejects", "labels.path",
           "search.warm_start"}  # whose `null` is none, and no name
NAMES_TO_NUMBERS = {"class_weight"}
LISTS_OF_NAMES = {
    "slices", "source.columns", "source.drop", "source.key", "source.text", "source.numeric", "source.categorical",
}  # fmt: skip
SECRET_REFERENCE = "${oc.env:"
# Quoted, or anything up to the next comma; an apostrophe inside a name opens no quote.
NAME_IN_A_LIST = re.compile(r"""\s*(?:"([^"]*)"|'([^']*)'|([^,]+))\s*(?:,|$)""")

ITEM_OF_A_MAPPING = re.compile(r"""\s*(?:"([^"]*)"|'([^']*)'|([^,]+?))\s*:\s*([^,:]+?)\s*(?:,|$)""")


def is_typed_as_is(key: str) -> bool:
    """Whether spaces, commas, quotes, `=`, `1` and `null` in this key's value mean themselves."""
    return key in NAMES or key in LISTS_OF_NAMES or key in NAMES_TO_NUMBERS


def read_typed_value(key: str, text: str) -> str | list[str] | dict[str, float | str] | None:
    """The name, or for a key that takes several the names: `[a,"b, c"]`, or one name without brackets; for one that
    gives names numbers, `{a: 2, "b, c": 0.5}`, a word or null.

    Where nothing may stand, `null` is nothing. `${oc.env:NAME}` stays a reference; any other `$` is a letter like the
    others.
    """
    if key in NAMES_TO_NUMBERS:
        return _numbers_of(text)
    if key in OR_NULL and text == "null":
        return None
    if key in NAMES:
        return _escape(text)
    if not (text.startswith("[") and text.endswith("]")):
        return [_escape(text)]
    names = (next(filter(None, found), "") for found in NAME_IN_A_LIST.findall(text[1:-1]))
    return [_escape(name.strip()) for name in names if name.strip()]


def _numbers_of(text: str) -> dict[str, float | str] | str | None:
    """What can't be read is left as it is, for a fault that shows it."""
    inside = text[1:-1] if text.startswith("{") and text.endswith("}") else ""
    items = ITEM_OF_A_MAPPING.findall(inside)
    if not items or ITEM_OF_A_MAPPING.sub("", inside).strip():
        return None if text in ("null", "") else _escape(text)
    return {_escape(double or single or plain): _number(number) for double, single, plain, number in items}


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return _escape(text)


def _escape(text: str) -> str:
    return text if SECRET_REFERENCE in text else text.replace("${", "\\${")
