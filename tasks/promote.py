"""Promote: whether the new version of a name takes the champion's place, and if so, that it does."""

from __future__ import annotations

import re
import tempfile
from dataclasses import asdict, replace
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks import aliases, registry
from tasks.aliases import MovedError, Standing
from tasks.promotion import Contest, Promotion
from tasks.records import Registered, jsonable
from tasks.refusal import Refusal
from tasks.rescore import Challenger, contest
from tasks.ruling import Ruling
from tasks.tracking import Tracker

FILE = "promotion.json"
TAG = "finefold.promotion"
MOST_TRIES = 3
MOST_OF_A_TAG = 2_000  # characters; MLflow's registry takes 5,000


@task(name="promote", task_run_name="promote", cache_policy=NO_CACHE, persist_result=False)
def promote(promotion: Promotion, tracker: Tracker, registered: Registered, challenger: Challenger) -> Ruling:
    """What the rule says of a version that was just registered, done and written down.

    What was decided is logged before an alias moves, so that a run which was interrupted in between, and goes on, tells
    it as it was. Where another process promotes meanwhile, the decision is made anew, against its model.

    Raises:
        Refusal: when the champion is moved again and again.
    """
    name, number = registered.model_name, registered.model_version
    for _ in range(MOST_TRIES):
        standing, said = aliases.settled(tracker.client, tracker.uri, name)
        ruling = replace(_ruling(promotion, tracker, registered, challenger, standing), mended=said)
        tracker.json(jsonable(asdict(ruling)), FILE)
        try:
            if ruling.promotes and standing.champion != number:
                aliases.promote(tracker.client, tracker.uri, name, number, standing.champion)
        except MovedError:
            continue
        _write_down(tracker, registered, ruling)
        return ruling
    raise Refusal(
        f"model_name={name}: the champion was moved by somebody else {MOST_TRIES} times while version {number} was "
        "compared with it; the same command decides anew."
    )


def _ruling(
    promotion: Promotion, tracker: Tracker, registered: Registered, challenger: Challenger, standing: Standing
) -> Ruling:
    name, number = registered.model_name, registered.model_version
    tags = aliases.version_tags(tracker.client, name, number)
    if standing.champion == number:  # by this very run, before it was interrupted
        known = tracker.read_json(FILE)
        return Ruling("promoted", "it is the champion already") if known is None else Ruling.read(known)
    if challenger.tags.get(registry.GATE_TAG) == "failed":
        return Ruling("kept", "it failed its checks", standing.champion)
    if aliases.ROLLED_BACK_TAG in tags:
        return Ruling("kept", "it was rolled back; a new version is judged anew", standing.champion)
    if standing.champion is None or not promotion.compares:
        return promotion.rule(Contest(standing.champion, footprint=challenger.footprint))
    return promotion.rule(_against(tracker, registered, challenger, standing.champion))


def _against(tracker: Tracker, registered: Registered, challenger: Challenger, number: int) -> Contest:
    name = registered.model_name
    tags = aliases.version_tags(tracker.client, name, number)
    with tempfile.TemporaryDirectory(prefix="finefold-champion-") as folder:
        try:
            logged = registry.download(f"models:/{name}/{number}", tracker.uri, Path(folder))
        except Refusal as refusal:
            gone = f"the champion's files can't be fetched: {'; '.join(refusal.faults)}"
            return Contest(number, None, gone, challenger.footprint)
        return contest(challenger, number, logged, tags)


def _write_down(tracker: Tracker, registered: Registered, ruling: Ruling) -> None:
    """As tags and description of the version, and as metrics and tags of the run."""
    name, number = registered.model_name, registered.model_version
    against = {} if ruling.champion is None else {f"{TAG}.against": str(ruling.champion)}
    tags = {TAG: ruling.state, f"{TAG}.reason": ruling.reason[:MOST_OF_A_TAG], **against}
    aliases.describe(tracker.client, name, number, tags, ruling.markdown(name, number))
    numbers: dict[str, float] = {"promotion.rows": ruling.rows, "promotion.left_out": ruling.left_out}
    for key, one in ruling.numbers.items():
        key = re.sub(r"[^\w\-. :/]", ":", f"promotion.{key}")
        numbers |= {key: one.value, f"{key}_low": one.low, f"{key}_high": one.high}
    tracker.metrics(numbers)
    tracker.tags(tags)
