"""Register: log the model with signature, example and pinned requirements, and register it under its name."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.model import packages
from tasks.predictor import Predictor, read_example
from tasks.records import Registered, Trained
from tasks.registry import log_model, registered_of
from tasks.tracking import Tracker

# What a server of the model imports; each pinned to the version that trained it.
REQUIREMENTS = ("mlflow", "lightgbm", "scikit-learn", "scipy", "numpy", "pandas", "pyarrow", "skops")


@task(name="register", task_run_name="register", cache_policy=NO_CACHE, persist_result=False)
def register(tracker: Tracker, trained: Trained, folder: Path, name: str, tags: dict[str, str]) -> Registered:
    """The registered version of what lies in `folder`: the model, and what it carries with it. A run that was
    interrupted after registering gets the version it had.

    Raises:
        Refusal: for a name the registry doesn't take.
    """
    tags = {**tags, "finefold.fit": Path(trained.folder).name}
    earlier = registered_of(tracker, name, tags)
    if earlier is not None:
        return earlier
    predictor = Predictor.load(folder)
    example = read_example(folder, predictor.asked)
    return log_model(
        tracker,
        folder,
        name=name,
        signature=_signature(predictor, example),
        example=example,
        requirements=[_pinned(package) for package in (*REQUIREMENTS, *packages(predictor.fitted))],
        tags=tags,
    )


def _pinned(package: str) -> str:
    """Without what names a build (`+cpu`): a server takes the build that suits it."""
    return f"{package}=={version(package).partition('+')[0]}"


def _signature(predictor: Predictor, example: pd.DataFrame) -> Any:
    """What may be asked for beside a prediction, and columns by name, of any type: the model reads raw cells itself.
    With `double` MLflow would refuse whole numbers ("can not safely convert int64 to float64"), with `long` missing
    ones, and with either numbers that are text."""
    from mlflow.models import ModelSignature, infer_signature
    from mlflow.types import ColSpec
    from mlflow.types import Schema as MlflowSchema
    from mlflow.types.schema import AnyType, ParamSchema, ParamSpec

    anything = AnyType()  # type: ignore[no-untyped-call]  # of MLflow
    inputs = MlflowSchema([ColSpec(anything, column.name, required=False) for column in predictor.asked.columns])
    outputs = infer_signature(model_output=predictor.predict(example)).outputs
    if predictor.problem.is_generation:
        return ModelSignature(inputs=inputs, outputs=outputs)
    params = [ParamSpec("contributions", "boolean", False)]  # MLflow's own order
    params += [ParamSpec("interval", "double", None)] if predictor.residuals is not None else []
    return ModelSignature(inputs=inputs, outputs=outputs, params=ParamSchema(params))
