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

from tasks import parity, text_parity
from tasks.format import Format, Made, _example, _rows
from tasks.records import Exported, Split, Trained, jsonable
from tasks.schema import Schema

N_EXAMPLES = 5
Looked = tuple[parity.Rows, _rows.Arrays, parity.Expected]


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
    look = _at_texts if made.schema["problem"] == "generation" else _at_columns
    rows, inputs, truth = look(folder, holdout, made, place, most)
    found = tuple(parity.compare(form, one, made, rows, truth, inputs, seconds) for one in made.variants)
    (place / "parity.json").write_text(json.dumps(jsonable([asdict(one) for one in found]), indent=1))
    return Exported(name, str(place), found)


def _at_columns(folder: Path, holdout: Path, made: Made, place: Path, most: int) -> Looked:
    """The rows that are compared, as the export takes them, and what the model predicts for them."""
    schema = Schema.from_json((folder / "schema.json").read_text(encoding="utf-8"))
    rows = parity.rows_of(holdout, schema, made.thresholds, most)
    inputs, truth = parity.fed(rows.raw, schema, made.schema, place), parity.expected(folder, rows.raw)
    _example.write_rows(place, parity.cells(rows.raw.iloc[len(rows.names) :].head(N_EXAMPLES), schema), N_EXAMPLES)
    return rows, inputs, truth


def _at_texts(folder: Path, holdout: Path, made: Made, place: Path, most: int) -> Looked:
    """The same of a model that writes, whose logits are compared."""
    rows, inputs, truth = text_parity.looked_at(folder, holdout, most)
    tokens = text_parity.prompts(folder, rows.raw.head(N_EXAMPLES))
    (place / "rows.json").write_text(json.dumps({text_parity.IDS: tokens}), encoding="utf-8")
    return rows, inputs, truth
