"""Models in MLflow: logged, registered, downloaded; with tracking.py all that knows MLflow."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks import aliases
from tasks.aliases import CHALLENGER, CHAMPION, PREVIOUS, ROLLED_BACK_TAG
from tasks.records import Registered
from tasks.refusal import Refusal, did_you_mean
from tasks.tracking import Tracker, connect, said_by

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

RUN_ID = re.compile(r"[0-9a-f]{32}")
SHA256_TAG = "finefold.sha256"  # of the files of a version
GATE_TAG = "finefold.gate"  # what the checks of a model said: passed, failed, none
# What a person reads on the page of a model.
ALIASES = (
    f"`{CHAMPION}` is the version to use; `{CHALLENGER}` the newest that passed its checks and isn't surely better; "
    f"`{PREVIOUS}` where `finefold rollback` goes back to."
)
FORBIDDEN = "/:.'\""  # of a registered model's name; quotes would end MLflow's own filter strings


def log_model(
    tracker: Tracker,
    folder: Path,
    *,
    name: str,
    signature: Any,
    example: Any,
    requirements: Sequence[str],
    tags: Mapping[str, str],
) -> Registered:
    """Logs the model in `folder` and registers it under `name`, with the alias `challenger` unless its tags say that it
    failed its checks; `tasks/promote.py` decides whether it becomes the champion.

    The model is code plus plain files: `tasks/pyfunc.py` and a copy of `tasks` are stored with it, no pickle.

    Raises:
        Refusal: for a name the registry doesn't take.
    """
    import mlflow

    tasks = Path(__file__).resolve().parent
    with warnings.catch_warnings(), mlflow.start_run(run_id=tracker.run_id):
        warnings.simplefilter("ignore")  # MLflow 3.17 warns of its own type hints and of its own use of pandas 3
        info = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(tasks / "pyfunc.py"),
            artifacts={"model": str(folder)},
            code_paths=[str(tasks)],
            signature=signature,
            input_example=example,
            pip_requirements=list(requirements),
            metadata=dict(tags),
        )
        mlflow.end_run("RUNNING")  # leaving the block would end the run before its model is registered
    return _with_alias(tracker, name, _register(tracker, info, name, tags), tags)


def _register(tracker: Tracker, info: Any, name: str, tags: Mapping[str, str]) -> int:
    from mlflow.exceptions import MlflowException

    client = tracker.client
    try:
        if not client.search_registered_models(f"name='{name}'", max_results=1):
            client.create_registered_model(name, description=ALIASES)
        version = client.create_model_version(
            name, info.model_uri, tracker.run_id, tags=dict(tags), model_id=info.model_id
        )
    except MlflowException as error:
        raise Refusal(f"model_name={name} can't be registered: {said_by(error)}") from error
    return int(version.version)


def registered_of(tracker: Tracker, name: str, tags: Mapping[str, str]) -> Registered | None:
    """The version with these tags that this very run registered before it was interrupted, or None."""
    found = tracker.client.search_model_versions(f"name='{name}' and run_id='{tracker.run_id}'")
    same = [version for version in found if tags.items() <= version.tags.items()]
    return _with_alias(tracker, name, int(same[0].version), same[0].tags) if same else None


def check_name(name: str) -> None:
    """Whether models can be registered under the name.

    Raises:
        Refusal: for a character that MLflow's registry doesn't take.
    """
    if not name.strip() or set(name) & set(FORBIDDEN):
        raise Refusal(f"model_name={name}: a name of a model is not empty and has none of {' '.join(FORBIDDEN)}")


def check_registered(client: MlflowClient, name: str) -> None:
    """Whether there are models of the name.

    Raises:
        Refusal: when there are none; names what there is.
    """
    names = [found.name for found in client.search_registered_models()]
    if name not in names and not client.search_registered_models(f"name='{name}'", max_results=1):
        raise Refusal(f"model_name={name}: no such model is registered{did_you_mean(name, names)}")


def version_of(client: MlflowClient, name: str, asked: str, key: str) -> int:
    """The number of a version. asked: an alias, or the number. key: what the user asked by.

    Raises:
        Refusal: when there is no such model or version; names what there is.
    """
    from mlflow.exceptions import MlflowException

    check_registered(client, name)
    known = {alias: int(number) for alias, number in client.get_registered_model(name).aliases.items()}
    if asked in known:
        return known[asked]
    try:
        return int(client.get_model_version(name, str(int(asked))).version)
    except (ValueError, MlflowException):
        numbers = sorted(int(one.version) for one in client.search_model_versions(f"name='{name}'"))
        aliases = ", ".join(f"{alias} (version {number})" for alias, number in sorted(known.items())) or "none"
        raise Refusal(
            f"{key}={asked}: {name} has no such version or alias. Aliases: {aliases}. Versions: "
            f"{', '.join(map(str, numbers[-10:])) or 'none'}. Give one of these; finefold run model_name={name} "
            "makes a champion of what passes its checks."
        ) from None


def possible_name(name: str) -> str:
    """The name of a source as that of a model."""
    return "".join("_" if letter in FORBIDDEN else letter for letter in name).strip() or "model"


def _with_alias(tracker: Tracker, name: str, number: int, tags: Mapping[str, str]) -> Registered:
    """With the alias, where it passed its checks."""
    if tags.get(GATE_TAG) != "failed" and ROLLED_BACK_TAG not in tags:
        aliases.challenge(tracker.client, tracker.uri, name, number)
    return Registered(f"models:/{name}/{number}", name, number)


def is_address(named: str) -> bool:
    """Whether it names a registered model, or that of a run."""
    return named.startswith(("models:/", "runs:/")) or RUN_ID.fullmatch(named) is not None


def with_version(named: str, sha256: str, tracking_uri: str | None) -> str:
    """`models:/NAME@champion` as `models:/NAME/3`, the version with these files, for the alias may be another's by now;
    as it is where no version has them, and all else too. sha256: of the model's files."""
    name, at, _ = named.removeprefix("models:/").partition("@")
    if not at or not named.startswith("models:/"):
        return named
    client, _ = connect(tracking_uri)
    versions = client.search_model_versions(f"name='{name}'")
    same = [int(one.version) for one in versions if one.tags.get(SHA256_TAG) == sha256]
    return f"models:/{name}/{max(same)}" if same else named


def download(named: str, tracking_uri: str | None, into: Path | None = None, *, key: str = "base") -> Path:
    """A folder with what was logged of a registered model (`models:/NAME@champion`, `models:/NAME/3`), or of the model
    of a run (`runs:/ID/model`, or the id alone). into: a folder for it; by default one that MLflow makes. key: what the
    user named it by.

    Raises:
        Refusal: when there is no such model.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    connect(tracking_uri)
    uri = f"runs:/{named}/model" if RUN_ID.fullmatch(named) else named
    try:
        return Path(mlflow.artifacts.download_artifacts(uri, dst_path=None if into is None else str(into)))
    except (MlflowException, OSError, ValueError) as error:
        raise Refusal(
            f"{key}={named} isn't there: {said_by(error)}; name a registered model, as "
            "models:/NAME@champion or models:/NAME/3, the model of a run, as runs:/ID/model, or a folder."
        ) from error
