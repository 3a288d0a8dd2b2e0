"""Register: log the model with signature, example and pinned requirements, and register it under its name."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.model import packages
from tasks.predictor import Predictor
from tasks.records import Registered, Trained
from tasks.registry import log_model, registered_of
from tasks.schema import Schema
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
    example = read_example(folder, predictor.schema)
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


def read_example(folder: Path, schema: Schema) -> pd.DataFrame:
    """A few raw rows, in the types that a caller of the model sends."""
    stored = json.loads((folder / "example.json").read_text())
    example = pd.DataFrame(stored["data"], columns=stored["columns"], dtype=object)
    types = {"double": "float64", "datetime": "datetime64[ns]"}
    return example.astype({column.name: types[column.raw] for column in schema.columns if column.raw in types})


def _signature(predictor: Predictor, example: pd.DataFrame) -> Any:
    """Columns by name, of any type: the model reads raw cells itself. With `double` MLflow would refuse whole numbers
    ("can not safely convert int64 to float64"), with `long` missing ones, and with either numbers that are text."""
    from mlflow.models import ModelSignature, infer_signature
    from mlflow.types import ColSpec
    from mlflow.types import Schema as MlflowSchema
    from mlflow.types.schema import AnyType

    anything = AnyType()  # type: ignore[no-untyped-call]  # of MLflow
    inputs = MlflowSchema([ColSpec(anything, column.name, required=False) for column in predictor.schema.columns])
    outputs = infer_signature(model_output=predictor.predict(example)).outputs
    return ModelSignature(inputs=inputs, outputs=outputs)
