"""Output: with `output=json`, one JSON object as the last line of standard output."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from flows import config as configs
from tasks.records import jsonable


def print_json(content: dict[str, Any], overrides: Sequence[str]) -> None:
    """Prints what a command came to, where the overrides ask for it."""
    if configs.compose(list(overrides)).config.output == "json":
        print(json.dumps(jsonable(content), ensure_ascii=False), flush=True)
