"""Low-rank adapters (Hu et al. 2021) in PEFT's own files: a third of a megabyte where an encoder takes 90.

`peft.PeftModel.from_pretrained(encoder, folder)` reads them; https://huggingface.co/docs/peft/developer_guides/checkpoint
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from tasks.model._head import Singles


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

    def save(self, folder: Path) -> None:
        save_file(dict(self.matrices), folder / "adapter_model.safetensors")
        self.config.save_pretrained(folder)
