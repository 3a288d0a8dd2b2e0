"""Export: write the model in other formats, and compare each with the model itself."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks import parity
from tasks.format import Format, _example
from tasks.records import Exported, Split, Trained, without_nan
from tasks.schema import Schema

N_EXAMPLES = 5


@task(name="export", task_run_name="export", cache_policy=NO_CACHE, persist_result=False)
def export(formats: Mapping[str, Format], trained: Trained, split: Split, most: int) -> tuple[Exported, ...]:
    """In a folder beside the model's for each format. most: rows of the holdout that are compared.

    Raises:
        Refusal: where the model has no place in a format, or an export doesn't run.
    """
    return tuple(
        _exported(name, form, Path(trained.folder), Path(split.folder) / "holdout_features.parquet", most)
        for name, form in formats.items()
    )


def _exported(name: str, form: Format, folder: Path, holdout: Path, most: int) -> Exported:
    place = Path(f"{folder}-export") / name
    shutil.rmtree(place, ignore_errors=True)  # of an earlier run with other settings
    place.mkdir(parents=True)
    begun = time.perf_counter()
    made = form.write(folder, place)
    seconds = time.perf_counter() - begun
    schema = Schema.from_json((folder / "schema.json").read_text(encoding="utf-8"))
    rows = parity.rows_of(holdout, schema, made.thresholds, most)
    inputs, truth = parity.fed(rows.raw, schema, made.schema, place), parity.expected(folder, rows.raw)
    _example.write_rows(place, parity.cells(rows.raw.iloc[len(rows.names) :].head(N_EXAMPLES), schema), N_EXAMPLES)
    found = tuple(parity.compare(form, one, made, rows, truth, inputs, seconds) for one in made.variants)
    (place / "parity.json").write_text(json.dumps(without_nan([asdict(one) for one in found]), indent=1))
    return Exported(name, str(place), found)
