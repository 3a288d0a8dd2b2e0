"""TensorFlow SavedModel: the same graph as `tf.Module`, with the signature `serving_default`."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from tasks.format import Limits, Made, Variant, _example, without_graph
from tasks.format import _process as process
from tasks.format._signature import signature_names
from tasks.model import Model, writes

NEEDS = ("onnx", "tensorflow")
INSTALL = 'pip install "finefold[savedmodel]"'


@dataclass(frozen=True)
class SavedModel:
    """Limits: see `Limits`."""

    name: ClassVar[str] = "savedmodel"
    most_difference: Annotated[float, Field(gt=0)]
    most_flips: Annotated[float, Field(ge=0, le=1)]

    def check(self, families: Sequence[tuple[str, Model]]) -> list[str]:
        absent = [name for name in NEEDS if find_spec(name) is None]
        told = f"export.formats=[savedmodel] needs more packages ({', '.join(absent)}): {INSTALL}"
        writers = [name for name, family in families if writes(family)]
        texts = f"export.formats=[savedmodel]: {', '.join(writers)} writes text, and is exported as onnx alone."
        return [*([told] if absent else []), *([texts] if writers else []), *without_graph(families)]

    def write(self, folder: Path, place: Path) -> Made:
        """In a process of its own, from the graph that is ONNX's too."""
        from tasks.format._models import written  # which needs the extra

        made, path = written(folder), place / "saved_model"
        with tempfile.TemporaryDirectory(prefix="finefold-savedmodel-") as beside:
            file = Path(beside) / "model.onnx"
            file.write_bytes(made.model.SerializeToString())
            command = [sys.executable, "-m", "tasks.format._tensorflow", str(file), str(path)]
            process.run(command, "export.formats=[savedmodel]")
        names = signature_names(one["name"] for one in made.schema["inputs"])
        for one in made.schema["inputs"]:
            one["signature"] = names[one["name"]]
        _example.write(place, _example.SAVEDMODEL, made.schema, made.companions)
        limits = Limits(self.most_difference, self.most_flips)
        return Made((Variant("savedmodel", path, limits),), made.schema, made.thresholds)

    def run(self, variant: Variant, rows: Path, answers: Path) -> list[str]:
        return [sys.executable, "-m", "tasks.format._run_tensorflow", str(variant.path), str(rows), str(answers)]
