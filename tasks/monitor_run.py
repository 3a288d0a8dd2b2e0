"""A run in MLflow that holds what a look at a model came to."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from tasks.champion import Champion
from tasks.tracking import Tracker

KIND = "monitor"


def begin(champion: Champion, tags: Mapping[str, str], now: datetime) -> Tracker:
    """A new run in the experiment of the champion."""
    client, began = champion.client, int(now.timestamp() * 1000)
    name = f"{KIND}-{champion.name}"
    run = client.create_run(champion.experiment_id, start_time=began, tags={"kind": KIND, **tags}, run_name=name)
    return Tracker(client, champion.uri, champion.experiment_id, run.info.run_id, is_resumed=False)
