"""What MLflow knows of runs, as values: a line for each, the newest first, and all of one."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse
from urllib.request import url2pathname

from tasks.tracking import PARENT_TAG, STUDY_TAG
from tasks.trial_log import TRIAL_TAG

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

KIND_TAG = "kind"
PAGE = 1_000
MANY = 50  # ids in one question to the registry


@dataclass(frozen=True)
class Line:
    """A run. begun: ISO 8601, UTC. kind: `run`, or `comparison`, `ladder`, `replay` of one that holds others. model:
    the family. cv, holdout: of the metric, None where there is none. state: MLflow's status in small letters. versions:
    what it registered, as `NAME 3 @champion`. seconds: None while it runs."""

    run_id: str
    begun: str
    kind: str
    name: str
    model: str
    metric: str
    cv: float | None
    holdout: float | None
    state: str
    versions: tuple[str, ...]
    seconds: float | None


@dataclass(frozen=True)
class Shown:
    """All of a run: its line, and what MLflow keeps of it. trials: how many, by state. checks: state and reason of
    each; gate: what they came to. promotion: what was decided, and why. notes: its description in Markdown."""

    line: Line
    overrides: str
    parameters: Mapping[str, str]
    metrics: Mapping[str, float]
    trials: Mapping[str, int]
    checks: Mapping[str, tuple[str, str]]
    gate: str
    promotion: tuple[str, str]
    notes: str
    report: str
    mlflow_url: str
    prefect_url: str


def lines(
    client: MlflowClient, experiment: str, *, last: int, model_name: str | None = None, state: str | None = None
) -> list[Line]:
    """The newest runs of an experiment, without trials and what else lies within a run.

    model_name: those that registered a version under it. state: as in `Line`.
    """
    found = client.get_experiment_by_name(experiment)
    if found is None:
        return []
    ids = None if model_name is None else {
        str(one.run_id) for one in client.search_model_versions(f"name='{model_name}'")
    }  # fmt: skip
    runs = [run for run in _newest(client, found.experiment_id, state, None if ids is not None else last)
            if ids is None or run.info.run_id in ids][:last]  # fmt: skip
    versions = versions_of(client, [run.info.run_id for run in runs])
    return [_line(run, versions.get(run.info.run_id, ())) for run in runs]


def _newest(client: MlflowClient, experiment_id: str, state: str | None, most: int | None) -> list[Run]:
    """Those that track a study, and those that hold others; MLflow knows no `or`."""
    is_in_state = "" if state is None else f" and attributes.status = '{state.upper()}'"
    found: list[Run] = []
    for tag in (STUDY_TAG, KIND_TAG):
        token, asked, n = None, f"tags.`{tag}` LIKE '%'{is_in_state}", 0
        while True:
            size = PAGE if most is None else min(PAGE, most)
            page = client.search_runs([experiment_id], asked, max_results=size, page_token=token,
                                      order_by=["attributes.start_time DESC"])  # fmt: skip
            found, n, token = [*found, *page], n + len(page), page.token
            if not token or (most is not None and n >= most):
                break
    return sorted({run.info.run_id: run for run in found}.values(), key=lambda run: -run.info.start_time)


def versions_of(client: MlflowClient, run_ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """What each run registered, in words."""
    found: list[ModelVersion] = []
    for first in range(0, len(run_ids), MANY):
        listed = ",".join(f"'{one}'" for one in run_ids[first : first + MANY])
        found += client.search_model_versions(f"run_id IN ({listed})")
    aliases = {name: client.get_registered_model(name).aliases for name in {one.name for one in found}}
    said: dict[str, tuple[str, ...]] = {}
    for one in sorted(found, key=lambda version: int(version.version)):
        own = [f"@{alias}" for alias, number in sorted(aliases[one.name].items()) if str(number) == str(one.version)]
        run_id = str(one.run_id)
        said[run_id] = (*said.get(run_id, ()), " ".join([one.name, str(one.version), *own]))
    return said


def _line(run: Run, versions: tuple[str, ...]) -> Line:
    known, params, metrics = run.info, run.data.params, run.data.metrics
    metric = params.get("metric", "")
    return Line(
        run_id=known.run_id,
        begun=_when(known.start_time),
        kind=run.data.tags.get(KIND_TAG, "run"),
        name=str(known.run_name),
        model=params.get("best.model", ""),
        metric=metric,
        cv=metrics.get(f"cv_{metric}"),
        holdout=metrics.get(f"holdout_{metric}"),
        state=known.status.lower(),
        versions=versions,
        seconds=None if not known.end_time else (known.end_time - known.start_time) / 1000,
    )


def _when(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="seconds")


def shown(client: MlflowClient, run: Run, page: str, report: str) -> Shown:
    """All of a run. page: its address in MLflow. report: the path of its report among the run's artifacts."""
    tags, run_id = run.data.tags, run.info.run_id
    versions = versions_of(client, [run_id]).get(run_id, ())
    checks = _json(client, run_id, "checks.json") or {"findings": []}
    prefix = "finefold.promotion"
    return Shown(
        line=_line(run, versions),
        overrides=run.data.params.get("overrides", ""),
        parameters=dict(sorted(run.data.params.items())),
        metrics=dict(sorted(run.data.metrics.items())),
        trials=_trials(client, run),
        checks={one["check"]: (one["state"], one["reason"]) for one in checks["findings"]},
        gate=tags.get("finefold.gate", ""),
        promotion=(tags.get(prefix, ""), tags.get(f"{prefix}.reason", "")),
        notes=tags.get("mlflow.note.content", ""),
        report=_here(run.info.artifact_uri, report),
        mlflow_url=page,
        prefect_url=tags.get("prefect.url", ""),
    )


def _here(artifacts: str, path: str) -> str:
    """A file among a run's artifacts, where these lie on this machine and it is there."""
    place = urlparse(artifacts)
    file = Path(url2pathname(place.path)) / path
    return str(file) if place.scheme in ("", "file") and file.exists() else ""


def _trials(client: MlflowClient, run: Run) -> dict[str, int]:
    counts: dict[str, int] = {}
    token, asked = None, f"tags.`{PARENT_TAG}` = '{run.info.run_id}' and tags.`{TRIAL_TAG}` LIKE '%'"
    while True:
        page = client.search_runs([run.info.experiment_id], asked, page_token=token)
        for one in page:
            counts[one.info.status.lower()] = counts.get(one.info.status.lower(), 0) + 1
        if not (token := page.token):
            return counts


def _json(client: MlflowClient, run_id: str, path: str) -> Any:
    """What was logged there, or None."""
    if not any(file.path == path for file in client.list_artifacts(run_id)):
        return None
    with tempfile.TemporaryDirectory() as folder:
        return json.loads(Path(client.download_artifacts(run_id, path, folder)).read_text(encoding="utf-8"))
