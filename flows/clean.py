"""Clean: what of data/ and of MLflow's files is old and needed by nothing, listed, and with `clean.do=true` removed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from rich.markup import escape
from rich.table import Table

from flows import screen
from flows.output import print_json
from flows.searching import DATA
from flows.sections import Clean
from flows.tracked import address, config_for, is_somewhere, uri_of
from tasks import leftovers, retention, tracking
from tasks.leftovers import Client, Made, Stored
from tasks.refusal import Refusal
from tasks.retention import Folder

MOST_SHOWN = 30
DAY = 86_400.0
TRIALS, LOOKS, MODELS = "trial artifacts", "monitor reports", "models"


@dataclass(frozen=True)
class Item:
    """Something that may go. used: ISO 8601, UTC. megabytes: None where it is on another machine. is_gone: removed."""

    kind: str
    name: str
    used: str
    megabytes: float | None
    is_gone: bool


@dataclass(frozen=True)
class Cleaned:
    """What may go or has gone, and of what stays how many megabytes by reason. The keys are public."""

    items: tuple[Item, ...]
    kept: dict[str, float]
    faults: tuple[str, ...]

    @property
    def megabytes(self) -> float:
        return sum(one.megabytes or 0.0 for one in self.items)


def command(arguments: Sequence[str], begun: float) -> int:
    made = clean(arguments)
    say(made, is_done=any(one.is_gone for one in made.items))
    print_json({**asdict(made), "megabytes": made.megabytes}, arguments)
    return 0


def clean(overrides: Sequence[str] = ()) -> Cleaned:
    """What the section `clean` lets go: listed, and with `clean.do=true` removed.

    Nothing that a process works on, that an unfinished run could go on with, or that a model with an alias, or its
    base, was made of. What goes can be computed anew; registered models can't, and go with `clean.models=true` alone.

    Raises:
        Refusal: for other keys, and where neither runs nor data are.
    """
    config = config_for("clean", overrides)
    is_here = is_somewhere(uri_of(config))
    if not is_here and not DATA.is_dir():
        raise Refusal("clean: there is neither data/ nor mlruns/ here; go to the folder where the runs were.")
    if not is_here:
        return _cleaned(config.clean, None, [])
    uri = address(config, "clean")
    with tracking.refusing(uri):
        client, _ = tracking.connect(uri)
        return _cleaned(config.clean, client, leftovers.made_by_runs(client))


def _cleaned(asked: Clean, client: Client | None, runs: list[Made]) -> Cleaned:
    before = time.time() - asked.days * DAY
    needed, others = ([], []) if client is None else leftovers.versions(client)
    is_needed = {str(one.run_id) for one in needed}
    found = retention.judged(retention.folders(DATA), runs, is_needed, last=asked.last, before=before)
    items, faults = [], []
    for folder in found:
        if not folder.kept:
            fault = _removed_folder(folder) if asked.do else "not asked for"
            faults += [fault] if fault and asked.do else []
            items.append(Item(folder.kind, str(folder.path), _iso(folder.used), folder.megabytes, not fault))
    if client is not None:
        old = [run for run in runs[asked.last :] if run.is_over and run.ended < before and run.run_id not in is_needed]
        stored = [(TRIALS, one) for one in leftovers.of_trials(client, old)]
        stored += [(LOOKS, one) for one in leftovers.of_looks(client, before, asked.last)]
        if asked.models:
            ids = {run.run_id for run in old}
            stored += [(MODELS, leftovers.of_version(client, one)) for one in others if str(one.run_id) in ids]
        for kind, one in stored:
            fault = _removed(client, one) if asked.do else "not asked for"
            faults += [fault] if fault and asked.do else []
            items.append(Item(kind, one.name, _iso(one.used), one.megabytes, not fault))
    return Cleaned(tuple(items), _kept(found), tuple(faults))


def _removed_folder(folder: Folder) -> str:
    """Nothing, or why it stayed."""
    try:
        retention.remove(folder)
    except Refusal as refusal:
        return "; ".join(refusal.faults)
    return ""


def _removed(client: Client, one: Stored) -> str:
    """The same of what MLflow keeps."""
    try:
        leftovers.remove(client, one)
    except Refusal as refusal:
        return "; ".join(refusal.faults)
    return ""


def _kept(found: Sequence[Folder]) -> dict[str, float]:
    kept: dict[str, float] = {}
    for one in found:
        if one.kept:
            kept[one.kept] = kept.get(one.kept, 0.0) + one.megabytes
    return kept


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def say(made: Cleaned, *, is_done: bool) -> None:
    """The largest first; then sums."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("what", "where", "used", "MB"):
        table.add_column(heading, justify="right" if heading == "MB" else "left")
    ordered = sorted(made.items, key=lambda one: -(one.megabytes or 0.0))
    for one in ordered[:MOST_SHOWN]:
        size = "" if one.megabytes is None else f"{one.megabytes:,.1f}"
        table.add_row(one.kind, escape(one.name), one.used[:10], size)
    if ordered:
        screen.console().print(table)
    if len(ordered) > MOST_SHOWN:
        screen.say(f"and {len(ordered) - MOST_SHOWN:,} smaller ones; output=json names all")
    for why, megabytes in sorted(made.kept.items()):
        screen.say(f"{megabytes:,.1f} MB stay: {why}", "dim")
    for fault in made.faults:
        screen.say(fault, "yellow")
    what = "removed" if is_done else "can go; clean.do=true removes them"
    screen.say(f"{len(ordered):,} things of {made.megabytes:,.1f} MB {what}" if ordered else "nothing can go", "bold")
