"""ONNX: one file from the table's columns to labels and probabilities, for any runtime of it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from tasks.format import Limits, Made, Variant, _example, without_graph
from tasks.format import _process as process
from tasks.model import Model
from tasks.refusal import Refusal

NEEDS = ("onnx", "onnxruntime")
INSTALL = 'pip install "finefold[onnx]"'
HAVE_MATRICES = ("mlp", "text_encoder")  # families of which int8 makes something smaller


@dataclass(frozen=True)
class Onnx:
    """int8: whether a second file with weights of eight bits is written. Limits: see `Limits`; of the second file its
    own."""

    name: ClassVar[str] = "onnx"
    int8: bool
    most_difference: Annotated[float, Field(gt=0)]
    most_flips: Annotated[float, Field(ge=0, le=1)]
    int8_most_difference: Annotated[float, Field(gt=0)]
    int8_most_flips: Annotated[float, Field(ge=0, le=1)]

    def check(self, families: Sequence[tuple[str, Model]]) -> list[str]:
        absent = [name for name in NEEDS if find_spec(name) is None]
        faults = [f"export.formats=[onnx] needs more packages ({', '.join(absent)}): {INSTALL}"] if absent else []
        strangers = [name for name, _ in families if name not in HAVE_MATRICES]
        if self.int8 and strangers:
            faults.append(f"export.int8=true: {', '.join(strangers)} has no matrices of weights that eight bits would "
                          "make smaller; leave it out.")  # fmt: skip
        return faults + without_graph(families)

    def write(self, folder: Path, place: Path) -> Made:
        from tasks.format._models import written  # which needs the extra

        made = written(folder)
        path = place / "model.onnx"
        path.write_bytes(made.model.SerializeToString())
        example = _example.WRITER if made.schema["problem"] == "generation" else _example.ONNX
        _example.write(place, example, made.schema, made.companions)
        variants = [Variant("onnx", path, Limits(self.most_difference, self.most_flips))]
        if self.int8:
            limits = Limits(self.int8_most_difference, self.int8_most_flips)
            variants.append(Variant("onnx int8", _quantised(path), limits))
        return Made(tuple(variants), made.schema, made.thresholds)

    def run(self, variant: Variant, rows: Path, answers: Path) -> list[str]:
        return [sys.executable, "-m", "tasks.format._run_onnx", str(variant.path), str(rows), str(answers)]


def _quantised(path: Path) -> Path:
    """The same with matrices of weights in eight bits, beside it.

    Raises:
        Refusal: where that changes nothing.
    """
    made = path.with_suffix(".int8.onnx")
    process.run([sys.executable, "-m", "tasks.format._eight_bits", str(path), str(made)], "export.int8=true")
    if made.stat().st_size >= path.stat().st_size:
        raise Refusal("export.int8=true: eight bits make this model no smaller; leave it out.")
    return made
