"""Low-rank adapters (Hu et al. 2021) in PEFT's own files: a third of a megabyte where an encoder takes 90.

`peft.PeftModel.from_pretrained(encoder, folder)` reads them; https://huggingface.co/docs/peft/developer_guides/checkpoint
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from tasks.model._head import Singles

HUB = "https://huggingface.co/"


@dataclass(frozen=True)
class Ground:
    """The model that adapters belong to. name: its id on huggingface.co, by which PEFT finds it, its folder, or what a
    registry calls it; revision: of the id; both None where they aren't known. weights: the sha256 of each file of
    weights, by its name."""

    name: str | None
    revision: str | None
    weights: Mapping[str, str]

    @classmethod
    def of(cls, origin: str | None, weights: Mapping[str, str]) -> Ground:
        """origin: where a base comes from, as `hub` and `base_folder` say it."""
        if origin is None or not origin.startswith(HUB):
            return cls(origin, None, weights)
        name, _, revision = origin.removeprefix(HUB).partition("/tree/")
        return cls(name, revision, weights)


@dataclass(frozen=True)
class Adapters:
    """matrices: those of the trained adapters, by their names in PEFT's file. config: PEFT's `LoraConfig`."""

    matrices: Mapping[str, Singles]
    config: Any

    @classmethod
    def of(cls, parameters: Mapping[str, Any], config: Any) -> Adapters:
        """As they are now. parameters: tensors by their names in a `peft.LoraModel`."""
        names = {f"base_model.{name.replace('.default.', '.')}": one for name, one in parameters.items()}
        return cls({name: np.array(one.detach().cpu().numpy()) for name, one in names.items()}, config)

    def save(self, folder: Path, ground: Ground | None = None) -> None:
        """With `base.json`, which names the weights that they belong to, where that is given."""
        save_file(dict(self.matrices), folder / "adapter_model.safetensors")
        config = copy.copy(self.config)
        if ground is not None:
            config.base_model_name_or_path, config.revision = ground.name, ground.revision
            (folder / "base.json").write_text(json.dumps({"sha256": dict(ground.weights)}), encoding="utf-8")
        config.save_pretrained(folder)
