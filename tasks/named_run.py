"""Which run a name stands for: an id, the first letters of one, or a version of a registered model."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tasks.refusal import Refusal, did_you_mean
from tasks.registry import RUN_ID
from tasks.tracking import without_password

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

FORMS = "the id of a run, at least the first four letters of one, models:/NAME/3 or models:/NAME@champion"
BEGINNING = re.compile(r"[0-9a-f]{4,31}")
OF_RUN = re.compile(r"runs:/([0-9a-f]{32})(?:/model)?")
MODEL = re.compile(r"models:/(?P<name>[^@/]+)(?:/(?P<version>\d+)|@(?P<alias>[^@/]+))")
MOST_SHOWN = 5


def named_run(client: MlflowClient, named: str, uri: str, command: str) -> Run:
    """The run of an id, of the first letters of one, `runs:/ID/model`, `models:/NAME/3` or `models:/NAME@champion`.

    command: which one the name was given to, for what is said where it stands for nothing.

    Raises:
        Refusal: where there is none, or several begin so; names what there is.
    """
    from mlflow.exceptions import MlflowException

    asked, where = f"{command} {named}", without_password(uri)
    if BEGINNING.fullmatch(named):
        return _beginning(client, named, asked, where)
    if (of_run := OF_RUN.fullmatch(named)) is not None:
        run_id = of_run[1]
    elif (model := MODEL.fullmatch(named)) is not None:
        run_id = _of_model(client, model, asked, where)
    elif RUN_ID.fullmatch(named):
        run_id = named
    else:
        raise Refusal(f"{asked}: not the name of a run; give {FORMS}.")
    try:
        return client.get_run(run_id)
    except MlflowException:
        raise Refusal(
            f"{asked}: there is no such run in {where}; finefold runs lists what there is, and another server or file "
            "is named by tracking.uri=."
        ) from None


def _beginning(client: MlflowClient, letters: str, asked: str, where: str) -> Run:
    every = [one.experiment_id for one in client.search_experiments()]
    found = client.search_runs(every, f"attributes.run_id LIKE '{letters}%'", max_results=MOST_SHOWN)
    if not found:
        raise Refusal(f"{asked}: no run in {where} begins so; finefold runs lists what there is.")
    if len(found) > 1:
        ids = ", ".join(run.info.run_id for run in found)
        raise Refusal(f"{asked}: several runs begin so ({ids}); give more of its letters.")
    return found[0]


def _of_model(client: MlflowClient, model: re.Match[str], asked: str, where: str) -> str:
    from mlflow.exceptions import MlflowException

    name, number, alias = model["name"], model["version"], model["alias"]
    try:
        of = client.get_model_version if number else client.get_model_version_by_alias
        return str(of(name, number or alias).run_id)
    except MlflowException:
        known = [one.name for one in client.search_registered_models()]
        if name not in known:
            shown = f" Models: {', '.join(sorted(known)[:10])}." if known else ""
            raise Refusal(f"{asked}: no model of that name in {where}{did_you_mean(name, known)}{shown}") from None
        aliases = client.get_registered_model(name).aliases
        numbers = ", ".join(f"@{one} is {version}" for one, version in sorted(aliases.items())) or "no aliases"
        raise Refusal(f"{asked}: {name} has no such version; {numbers}.") from None
