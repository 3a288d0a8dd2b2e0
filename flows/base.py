"""Base: the model that a run goes on from, in a folder of its own, checked before anything is trained."""

from __future__ import annotations

import json
from pathlib import Path

from flows.build import resolve
from flows.config import Composed
from flows.plan import Plan
from tasks import registry
from tasks.refusal import Refusal
from tasks.strategy import WITHOUT_A_FAMILY


def base_of(composed: Composed, planned: Plan) -> Path | None:
    """The folder of the model to go on from, or None.

    Raises:
        Refusal: when there is no such model, or none that the run's families go on from in that way.
    """
    if composed.config.base is None:
        return None
    uri, strategy = resolve(composed.config.base, "base"), composed.choices["strategy"]
    folder = registry.download(uri, planned.tracking_uri)
    family = json.loads((folder / "family.json").read_text())["module"].rpartition(".")[2]
    others = [name for name in composed.config.model if name != family]
    if others and strategy not in WITHOUT_A_FAMILY:
        raise Refusal(
            f"base={uri} is a {family} model, from which model={','.join(others)} can't go on by strategy={strategy}; "
            f"choose model={family}, or a strategy of {', '.join(WITHOUT_A_FAMILY)}."
        )
    return folder
