"""Monitor: what became of a champion since it was trained, and what is to be done about it; begun at once, and once."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, cast

from prefect import flow
from prefect.runtime import flow_run

from flows import config as configs
from flows import screen, server
from flows.build import build, resolve
from flows.commands import ONLY_KEYS
from flows.config import Composed
from flows.deployed import in_a_deployment, name_of_run
from flows.monitored import Looked, kept, reported, told
from flows.output import print_json
from flows.overrides import key_of
from flows.pipeline import drain, on_server
from flows.remedying import Begun, begin, inform
from flows.tracked import address, uri_of
from tasks import champion as champions
from tasks import registry, scored, tracking
from tasks.champion import Champion
from tasks.decay import Decay
from tasks.drift import Drift
from tasks.labels import Labels
from tasks.observe import Observed, observe_batches, observe_table
from tasks.predictor import Predictor
from tasks.refusal import Refusal, did_you_mean
from tasks.remedy import Action, decide
from tasks.source.file import File

KEYS = ONLY_KEYS["monitor"]
GROUPS = ("source", "monitor")  # whose keys are all taken
Call = Callable[..., Any]


@dataclass(frozen=True)
class Monitored:
    """What a look at a model came to; the keys are public.

    action: what is done now; wanted: what would be without the cool-down. begun: what was started, or why nothing was.
    drifted: the columns and predictions that did. decay: of the score, None without labels. version: of the champion,
    None where there is none. report: the HTML file.
    """

    model_name: str
    version: int | None
    action: Action
    wanted: Action
    reason: str
    begun: Begun
    n_rows: int
    drifted: tuple[Drift, ...]
    decay: Decay | None
    notes: tuple[str, ...]
    report: str
    mlflow_url: str
    flow_run_id: str


def command(arguments: Sequence[str], begun: float) -> int:
    print_json(asdict(monitor(arguments, begun=begun)), [text for text in arguments if text.startswith("output=")])
    return 0


def monitor(overrides: Sequence[str], *, begun: float | None = None) -> Monitored:
    """Looks at the champion of a name, reports and begins what is to be done.

    overrides: `["model_name=NAME"]` looks at what `finefold score` kept of the batches that it scored; with
    `source.path=FILE` at a table. `labels.path=FILE` judges the score by labels that came since, found by their key.

    Where Prefect's server can't be reached, the report is made all the same, and nothing is begun.

    Raises:
        Refusal: for whatever the user can mend.
    """
    given = _with_file(overrides)
    _asked(given)
    try:
        running = server.start()
        running.wait()
    except Refusal as refusal:
        screen.say(f"without Prefect: {refusal.faults[0]}", "yellow")
        return looked_at(given, lambda task, *arguments: task.fn(*arguments), is_on_server=False)
    with running:
        made = on_server(running, time.time() if begun is None else begun, lambda: monitoring(given))
        drain(running, made.flow_run_id)
    return made


@flow(name="finefold-monitor", flow_run_name=partial(name_of_run, "monitor"), persist_result=False)
@in_a_deployment
def monitoring(overrides: list[str]) -> Monitored:
    """Looks for drift and decay, and begins what is to be done. `overrides` are what one would type after
    `finefold monitor`: `["model_name=sold"]`."""
    return looked_at(_with_file(overrides), lambda task, *arguments: task(*arguments), is_on_server=True)


def looked_at(overrides: list[str], call: Call, *, is_on_server: bool) -> Monitored:
    """What a look comes to. call: runs a task with its arguments."""
    composed = _asked(overrides)
    config, uri = composed.config, uri_of(composed.config)
    name, now = str(config.model_name), datetime.now(UTC)
    with tracking.refusing(uri), tempfile.TemporaryDirectory(prefix="finefold-champion-") as into:
        client, used = tracking.connect(uri)
        champion = champions.champion(client, used, name, Path(into), config.allow_packages)
        if champion is None:
            return _without_champion(name, is_on_server=is_on_server)
        observed = _observed(composed, champion, call, now)
        last = champions.last_of(client, name)
        decision = decide(observed.evidence, config.monitor, version=str(champion.version), now=now, last=last)
        looked = Looked(champion, observed, decision, config.monitor, now)
        begun = begin(looked, last, is_on_server=is_on_server)
        tracker, report = reported(looked, begun)
    if is_on_server:
        kept(looked, begun, tracker)
        inform(looked, begun)
    told(looked, begun, str(report), tracker.url)
    evidence = observed.evidence
    drifted = tuple(one for one in (*evidence.predictions, *evidence.inputs) if one.is_drifted)
    return Monitored(
        name, champion.version, decision.action, decision.wanted, decision.reason, begun, evidence.n_rows, drifted,
        evidence.decay, observed.notes, str(report), tracker.url, _flow_run_id(is_on_server=is_on_server),
    )  # fmt: skip


def _without_champion(name: str, *, is_on_server: bool) -> Monitored:
    reason = f"{name} has no champion yet: finefold run registers one"
    screen.say(f"nothing is to be done: {reason}", "yellow")
    nothing = Begun(None, "")
    run = _flow_run_id(is_on_server=is_on_server)
    return Monitored(name, None, "nothing", "nothing", reason, nothing, 0, (), None, (), "", "", run)


def _flow_run_id(*, is_on_server: bool) -> str:
    return str(flow_run.id) if is_on_server else ""


def _observed(composed: Composed, champion: Champion, call: Call, now: datetime) -> Observed:
    config, rules = composed.config, composed.config.monitor
    batches = scored.read(champion.name, champion.version)
    is_table = _is_table(composed.overrides)
    key = configs.roles(config).key or (batches[-1].summary.keys if batches else ())
    labels = None
    if config.labels.path is not None:
        if not key:
            raise Refusal(f"labels.path={config.labels.path} needs the columns that name a row: source.key=[COLUMN].")
        problem = Predictor.load(champion.folder).problem
        if problem.is_generation:
            raise Refusal(f"labels.path={config.labels.path}: {champion.name} writes {problem.target}, which isn't "
                          "scored here; leave it out.")  # fmt: skip
        labels = Labels.read(File(resolve(config.labels.path, "labels.path"), None, None, None), key, problem.target)
    if not is_table:
        return cast(Observed, call(observe_batches, champion.folder, batches, labels, rules, now))
    source = build(configs.source_node(config), "source", config.allow_packages)
    return cast(Observed, call(observe_table, champion.folder, source, labels, key, rules))


def _is_table(overrides: Sequence[str]) -> bool:
    return any(key_of(text) == "source" for text in overrides)


def _with_file(overrides: Sequence[str]) -> list[str]:
    """A path alone names a file."""
    keys = {key_of(text) for text in overrides}
    return [*(["source=file"] if "source.path" in keys and "source" not in keys else []), *overrides]


def _asked(overrides: Sequence[str]) -> Composed:
    """The configuration.

    Raises:
        Refusal: for keys that it has no use for, without a name, and where the registry can't be reached.
    """
    composed = configs.compose(overrides)
    faults = [
        f"{text}: monitor has no use for it{did_you_mean(key_of(text), KEYS)} It looks at {', '.join(KEYS)}."
        for text in overrides
        if key_of(text) not in KEYS and key_of(text).partition(".")[0] not in GROUPS
    ]
    if composed.config.model_name is None:
        faults.append("monitor needs the name that models are registered under: model_name=NAME.")
    if faults:
        raise Refusal(*faults)
    registry.check_name(str(composed.config.model_name))
    address(composed.config, f"model_name={composed.config.model_name}")
    return composed
