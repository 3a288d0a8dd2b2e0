"""Replay: a table gone through period by period under several policies, and what each of them scored and cost."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.runtime import flow_run

from flows import config as configs
from flows import screen, server
from flows.config import Config
from flows.output import print_json
from flows.parent import held
from flows.pipeline import drain, on_server, with_frame
from flows.plan import Plan
from flows.replay_table import line, quiet, say, table
from flows.replaying import Ground, Table, begun, checked, step, table_of
from flows.searching import COMMAND_GIVEN, DATA
from tasks import parent_run, registry
from tasks.records import jsonable
from tasks.replayed import Begun, Replayed, Step, read_begun, read_step, standings, write
from tasks.store import check_writable, locked, write_frame
from tasks.study import digest_of
from tasks.tracking import Tracker

if TYPE_CHECKING:
    import pandas as pd

ROOT = DATA / "replays"
KIND = "replay"
# What decides nothing of a replay's numbers.
NO_PART = ("clean", "output", "resume", "runner", "tracking")


def command(arguments: Sequence[str], begun: float) -> int:
    made = replay(arguments, begun=begun)
    print_json(asdict(made), arguments)
    return 0


def replay(
    overrides: Sequence[str], *, frame: pd.DataFrame | None = None, begun: float | None = None
) -> Replayed:
    """Goes through a table as if its rows came in by and by, once under each policy of `replay.policies`.

    A period is predicted by the model that there is; then its labels are looked at, the policy decides, and what it
    trains of the rows so far is for the next period where the gate says so.

    overrides: what one would type after `finefold replay`. frame: a table to use instead of a source. begun: when the
    command was given, Unix time in seconds; by default now.

    Interrupted, the same call goes on with the period in which it was.

    Raises:
        Refusal: for whatever the user can mend; all faults of the configuration at once, before anything starts.
    """
    begun_at = time.time() if begun is None else begun
    overrides = with_frame(overrides, frame)
    checked(overrides)
    with server.start() as running:
        made = on_server(running, begun_at, lambda: replaying(overrides))
        drain(running, made.flow_run_id)
        made = replace(made, prefect_url=f"{running.ui_url}/runs/flow-run/{made.flow_run_id}")
    say(made)
    return made


@flow(name="finefold-replay", persist_result=False)
def replaying(overrides: list[str]) -> Replayed:
    """All policies over all periods, each training in a flow run below this one. `overrides` are what one would type
    after `finefold replay`."""
    given = COMMAND_GIVEN.get() or time.time()
    COMMAND_GIVEN.set(0.0)  # each training begins when it begins
    check_writable(DATA)
    config, planned = checked(overrides)
    whole, notes = table_of(config, planned)
    with _opened(overrides, config, planned, whole) as ground:
        digest = f"{ground.folder.parent.name}-{ground.folder.name}"
        title = f"replay {planned.source.name}"
        uri, experiment = planned.tracking_uri, config.tracking.experiment
        screen.say_notes(f"{title}: {len(whole.frame):,} rows in {len(whole.periods.names)} periods", tuple(notes))
        with held(uri, experiment, digest, KIND, digest, title, given) as parent:
            start, steps = _all(ground, digest, parent)
            return _told(ground, start, steps, notes, parent)


@contextmanager
def _opened(overrides: Sequence[str], config: Config, planned: Plan, whole: Table) -> Iterator[Ground]:
    """The folder of the replay, locked; with `resume=never` another one of the same digest."""
    recorded = configs.compose(overrides).recorded
    identity = {key: value for key, value in recorded.items() if key not in (*NO_PART, "source")}
    table = write_frame(whole.frame, DATA / "frames").parent.name
    digest = digest_of({"config": identity, "roles": asdict(planned.roles), "table": table})
    earlier = [int(path.name) for path in (ROOT / digest).glob("[0-9]*")]
    number = max(earlier, default=1) + (config.resume == "never" and bool(earlier))
    folder = ROOT / digest / str(number)
    name = config.model_name or registry.possible_name(planned.source.name)
    names = {policy: f"{name}-{policy}-{digest[:6]}-{number}" for policy in config.replay.policies}
    with locked(folder, f"another process goes through this very replay ({folder}); wait for it."):
        yield Ground(tuple(overrides), config, planned, whole, folder.resolve(), names)


def _all(ground: Ground, digest: str, parent: Tracker) -> tuple[Begun, list[Step]]:
    """The first model and every step, those that are known already as they were."""
    first = ground.folder / "begun.json"
    start = read_begun(first)
    if start is None:
        screen.say(f"the first model, of {ground.config.replay.first} periods, for every policy")
        with parent_run.child(parent, digest, "begun", {}) as tracker:
            start = begun(ground, tracker)
        write(first, start)
    steps: list[Step] = []
    before: dict[str, Step] = {}
    for place in ground.replayed:
        for policy in ground.policies:
            before[policy] = _one(ground, start, policy, place, before.get(policy), digest, parent)
            steps.append(before[policy])
    return start, steps


def _one(
    ground: Ground, start: Begun, policy: str, place: int, before: Step | None, digest: str, parent: Tracker
) -> Step:
    name = ground.table.periods.names[place]
    path = ground.folder / policy / f"{name}.json"
    known = read_step(path)
    tags = {"finefold.policy": policy, "finefold.period": name}
    with parent_run.child(parent, digest, f"{policy} {name}", tags) as tracker:
        made = known or step(ground, start, policy, place, before, tracker)
        tracker.params({"policy": policy, "period": name, "action": made.action, "outcome": made.outcome,
                        "version": made.version, "model": ground.model_names[policy]})  # fmt: skip
        tracker.metrics({start.metric: made.score, "rows": made.n_rows, "seconds": made.seconds})
        tracker.tags({"mlflow.note.content": line(made, start.metric)})
    if known is None:
        write(path, made)
        screen.say(line(made, start.metric))
    return made


def _told(ground: Ground, start: Begun, steps: list[Step], notes: Sequence[str], parent: Tracker) -> Replayed:
    """The table and the picture, put into the parent run and into Prefect's artifact."""
    from tasks.plot import draw_replay  # matplotlib takes a second to import, which the first model need not wait for

    reached = standings(ground.policies, steps)
    plot = draw_replay(ground.folder / "replay.png", start.metric, reached, steps)
    made = Replayed(
        start.metric, ground.config.replay.period, tuple(ground.table.periods.names[at] for at in ground.replayed),
        reached, tuple(steps), start.seconds, (*notes, *quiet(reached)), str(plot), parent.run_id, str(flow_run.id),
        parent.url,
    )  # fmt: skip
    markdown = table(made)
    parent.params({"overrides": " ".join(ground.overrides), "metric": made.metric, "period": made.period,
                   "policies": ",".join(ground.policies)})  # fmt: skip
    parent.tags({"mlflow.note.content": markdown})
    for one in reached:
        parent.metrics({f"{one.policy}/{made.metric}": one.score, f"{one.policy}/seconds": one.seconds})
        own = [(place, step.score) for place, step in enumerate(steps) if step.policy == one.policy]
        parent.series({f"{one.policy}/by_period": own})
    parent.json(jsonable(asdict(made)), "replay.json")
    parent.artifacts(plot.parent, "plots", only=(plot.name,))
    create_markdown_artifact(f"{markdown}\n\n[MLflow run]({parent.url})", key=KIND, description="The policies compared")
    return made
