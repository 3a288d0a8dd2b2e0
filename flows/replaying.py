"""Replaying: the table cut into periods, the model that all policies begin with, and a policy's step over a period."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from flows import config as configs
from flows.config import Config
from flows.overrides import key_of
from flows.pipeline import pipeline
from flows.plan import Plan, plan
from flows.policies import POLICIES, Seen
from flows.record import tagged
from tasks import aliases, base_folder, registry, tracking
from tasks import metric as metrics
from tasks.check import in_classes_of
from tasks.decision import labels_of
from tasks.metric import Floats, Integers
from tasks.periods import Periods, periods_of
from tasks.predictor import Predictor
from tasks.records import Problem, Result, Roles
from tasks.refusal import Refusal, did_you_mean
from tasks.remedy import Action, Decision, Last
from tasks.replayed import Begun, Step
from tasks.source import load
from tasks.store import write_file
from tasks.target import find_target
from tasks.tracking import Tracker

LOG = "runs.log"
# What a run of a replay is given anew, or has no use for; of the source its columns' roles alone are kept.
OWN = ("base", "holdout.fraction", "model_name", "problem", "replay", "resume", "output")
ROLES = {field.name for field in fields(Roles)}
LEAST_REPLAYED = 2  # a policy is told from another by what came of its first decision
MOST_HELD = 0.5


@dataclass(frozen=True)
class Rows:
    """Rows in memory as a source."""

    name: str
    frame: pd.DataFrame

    def batches(self) -> Iterator[pa.RecordBatch]:
        yield from pa.Table.from_pandas(self.frame, preserve_index=False).to_batches()

    def notes(self) -> list[str]:
        return []


@dataclass(frozen=True)
class Table:
    """A table in the order of its periods. frame: (n_rows, n_columns) as it was read; codes: (n_rows,) the target as
    numbers or codes of the classes of the whole table, so that scores of all periods are of one kind."""

    frame: pd.DataFrame
    codes: Floats
    problem: Problem
    periods: Periods

    def rows(self, first: int, last: int) -> pd.DataFrame:
        """Those of the periods at these places, the last one among them."""
        return self.frame[self._is_within(first, last)]

    def y(self, first: int, last: int) -> Floats:
        return self.codes[self._is_within(first, last)]

    def _is_within(self, first: int, last: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        return np.asarray((self.periods.places >= first) & (self.periods.places <= last))


@dataclass(frozen=True)
class Ground:
    """What every step stands on. folder: of the replay. model_names: of each policy."""

    overrides: tuple[str, ...]
    config: Config
    plan: Plan
    table: Table
    folder: Path
    model_names: dict[str, str]

    @property
    def policies(self) -> tuple[str, ...]:
        return self.config.replay.policies

    @cached_property
    def replayed(self) -> range:
        """The places of the periods that are predicted."""
        return range(self.config.replay.first, len(self.table.periods.names))


def checked(overrides: Sequence[str]) -> tuple[Config, Plan]:
    """The configuration, and what its searches build; what fine-tunings build is looked at too.

    Raises:
        Refusal: all faults at once.
    """
    composed = configs.compose(overrides)
    config, faults = composed.config, []
    if configs.roles(config).time is None:
        faults.append("replay needs the column that says when a row came: source.time=COLUMN.")
    for key, given in (("base", config.base), ("holdout.path", config.holdout.path)):
        if given is not None:
            faults.append(f"{key}={given}: replay begins with a search of its own on the first periods; leave it out.")
    named = config.replay.policies
    for name in named:
        if name not in POLICIES:
            hint = did_you_mean(name, POLICIES)
            faults.append(f"replay.policies={name}: no such policy{hint} Policies: {', '.join(POLICIES)}.")
    if not named or len(set(named)) < len(named):
        faults.append(f"replay.policies=[{','.join(named)}]: name at least one, and each once.")
    if faults:
        raise Refusal(*faults)
    if set(named) & {"finetune", "monitor"}:
        own = [text for text in overrides if key_of(text) not in ("model", "search.trials")]
        plan(configs.compose([*own, *_finetuning(config, "models:/champion/1")]))
    return config, plan(configs.compose([text for text in overrides if key_of(text).partition(".")[0] != "strategy"]))


def table_of(config: Config, planned: Plan) -> tuple[Table, list[str]]:
    """The table in the order of its periods, and what is to be said of it.

    Raises:
        Refusal: for a source that can't be read, a target or times that can't, and too few periods.
    """
    frame = load(planned.source).to_pandas()
    roles = planned.roles
    for key, name in (("source.time", roles.time), ("source.target", roles.target)):
        if name is None or name not in frame:
            hint = did_you_mean(str(name), frame.columns)
            raise Refusal(f"{key}={name}: no such column{hint}" if name else f"replay needs {key}=COLUMN.")
    target = find_target(frame[roles.target], roles, config.problem)
    is_labelled = target.codes.notna().to_numpy()
    frame = frame[is_labelled]
    codes: Floats = np.asarray(target.codes[is_labelled], dtype=np.float64)
    asked = config.replay
    periods = periods_of(frame[roles.time], asked.period)
    if len(periods.names) - asked.first < LEAST_REPLAYED:
        most = len(periods.names) - LEAST_REPLAYED
        raise Refusal(
            f"replay.first={asked.first}: the table has {len(periods.names)} periods, of which at least "
            f"{LEAST_REPLAYED} must be left to go through; choose at most {most}."
        )
    notes = [f"no rows in {', '.join(periods.gaps[:6])}{' ...' * (len(periods.gaps) > 6)}"] if periods.gaps else []
    order = np.argsort(periods.places, kind="stable")
    places = replace(periods, places=periods.places[order])
    return Table(frame.iloc[order].reset_index(drop=True), codes[order], target.problem, places), notes


def begun(ground: Ground, parent: Tracker) -> Begun:
    """The first model, registered once for each policy: the first one searches, the others find its trials."""
    last = ground.config.replay.first - 1
    results: dict[str, Result] = {}
    for policy in ground.policies:
        texts = _run_overrides(ground, "search", policy, 0, last)
        texts = [text for text in texts if key_of(text).partition(".")[0] != "promotion"]
        more = ["resume=never"] if not results else []
        results[policy] = _run(ground, [*texts, *more, "promotion=always"], parent)
    first = results[ground.policies[0]]
    versions = {policy: one.model_version for policy, one in results.items()}
    return Begun(first.metric, first.seconds.total, ground.model_names, versions)


def step(ground: Ground, start: Begun, policy: str, place: int, before: Step | None, tracker: Tracker) -> Step:
    """A period predicted by the model that there is, then its labels looked at, and what the policy wants done."""
    clock, last = time.perf_counter(), None if before is None else before.last
    version = start.versions[policy] if before is None else before.then
    periods, rows, y = ground.table.periods, ground.table.rows(place, place), ground.table.y(place, place)
    with _model(ground, policy, version) as folder:
        prediction, labels = predicted(folder, ground.table.problem, rows)
        score = metrics.value(start.metric, y, prediction, _weight(ground, rows), labels)
        seen = Seen(folder, version, Rows(periods.names[place], rows), ground.config.monitor, periods.ends[place], last)
        decision = POLICIES[policy](seen)
    made = Step(policy, periods.names[place], len(y), score, decision.action, decision.reason, "", "", 0.0, version,
                version, last)  # fmt: skip
    if decision.action != "nothing" and place + 1 < len(periods.names):  # after the last one there is no next
        made = _remedied(ground, made, decision, place, tracker)
    return replace(made, seconds=time.perf_counter() - clock)


def _remedied(ground: Ground, made: Step, decision: Decision, place: int, tracker: Tracker) -> Step:
    """After the training that was decided on; one that can't be done is told, and the model stays."""
    is_search = decision.action == "search"
    since = 0 if is_search else max(0, place + 1 - ground.config.replay.recent)
    base = f"models:/{ground.model_names[made.policy]}/{made.version}"
    texts = _run_overrides(ground, decision.action, made.policy, since, place)
    texts += ["resume=never"] if is_search else ["resume=never", *_finetuning(ground.config, base)]
    last = Last(decision.action, str(made.version), ground.table.periods.ends[place])
    _be_champion(ground, ground.model_names[made.policy], made.version)
    try:
        result = _run(ground, texts, tracker)
    except Refusal as refusal:
        return replace(made, outcome="failed", why="; ".join(refusal.faults), last=last)
    ruling = result.promotion
    then = result.model_version if ruling.promotes else made.version
    return replace(made, outcome=ruling.state, why=ruling.reason, then=then, last=last, run_id=result.run_id)


def _be_champion(ground: Ground, name: str, version: int) -> None:
    """A step that was killed after its promotion is done anew, against the champion that there was before it."""
    client, uri = tracking.connect(ground.plan.tracking_uri)
    champion = aliases.settled(client, uri, name)[0].champion
    if champion != version:
        aliases.promote(client, uri, name, version, champion)


def _run(ground: Ground, texts: list[str], parent: Tracker) -> Result:
    """The main job below a run of the replay's; what it says goes into a file beside the steps."""
    with (
        (ground.folder / LOG).open("a", encoding="utf-8") as log,
        redirect_stdout(log),
        tagged({tracking.PARENT_TAG: parent.run_id}),
    ):
        begun = time.time()
        result = pipeline(texts)
    return replace(result, seconds=replace(result.seconds, total=time.time() - begun))


def _run_overrides(ground: Ground, action: Action, policy: str, first: int, last: int) -> list[str]:
    """Those of a run on the periods at these places, the last one among them, of which the end is held out."""
    table, names = ground.table, ground.table.periods.names
    rows, n_last = table.rows(first, last), len(table.rows(last, last))
    path = ground.folder / "tables" / f"{names[first]}_to_{names[last]}.parquet"
    if not path.exists():
        write_file(path, lambda beside: rows.to_parquet(beside, index=False))
    fraction = min(MOST_HELD, ground.config.replay.held * n_last / len(rows))
    return [
        *_kept(ground.overrides, action), "source=file", f"source.path={path}", f"holdout.fraction={fraction:.6f}",
        f"model_name='{ground.model_names[policy]}'", f"problem={table.problem.kind}",
    ]  # fmt: skip


def _kept(overrides: Sequence[str], action: Action) -> list[str]:
    """Of the user's those that a run takes over; a fine-tuning has the family of its base, whichever that is."""
    left_out = {*OWN, "strategy"} if action == "search" else {*OWN, "model", "search.trials"}
    return [text for text in overrides if not _is_among(key_of(text), left_out)]


def _is_among(key: str, left_out: set[str]) -> bool:
    group, _, name = key.partition(".")
    if group == "source":
        return name not in ROLES
    return key in left_out or (group in left_out and group != "model")


def _finetuning(ground_of: Config, base: str) -> list[str]:
    return [f"base={base}", f"search.trials={ground_of.replay.trials}"]


def predicted(folder: Path, problem: Problem, rows: pd.DataFrame) -> tuple[Floats, Integers | None]:
    """What the model in a folder predicts for rows as they were read: (n,) numbers, or (n, k) probabilities of the
    classes of the whole table, which may be more than it knows; and (n,) codes of what it labels each row."""
    model = Predictor.load(folder)
    own = model.fitted.predict(model.schema.apply(rows))
    if not problem.is_classification:
        return own, None
    place = {str(label): code for code, label in enumerate(problem.classes)}
    codes = np.array([place[str(label)] for label in model.problem.classes], dtype=np.int64)
    return in_classes_of(problem, folder, own), codes[labels_of(own, model.decision)]


@contextmanager
def _model(ground: Ground, policy: str, version: int) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="finefold-replay-") as into:
        uri = f"models:/{ground.model_names[policy]}/{version}"
        folder = base_folder.model_in(registry.download(uri, ground.plan.tracking_uri, Path(into)), uri)
        base_folder.check(folder, uri, ground.config.allow_packages)
        yield folder


def _weight(ground: Ground, rows: pd.DataFrame) -> Floats | None:
    weight = ground.plan.roles.weight
    return None if weight is None else rows[weight].to_numpy(dtype=np.float64)
