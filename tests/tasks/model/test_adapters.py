"""Adapters alone are all that a fine-tuned encoder is, beside the one that it was made of."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

if find_spec("peft") is None:
    pytest.skip('needs peft: pip install "finefold[text]"', allow_module_level=True)

import peft
import torch
from peft import LoraConfig
from tiny_encoder import tiny_encoder
from torch import nn

from tasks.model._adapters import Adapters
from tasks.model._encoder import Body


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")  # which PEFT asks for
def test_peft_reads_them_onto_the_encoder_and_gives_what_the_merged_one_gives(tmp_path: Path) -> None:
    encoder, kept = tiny_encoder(tmp_path / "encoder"), tmp_path / "adapters"
    config = LoraConfig(r=2, lora_alpha=4, target_modules=["query", "value"])
    wrapped = peft.LoraModel(Body.load(encoder).net, config, "default")
    trained = {name: one for name, one in wrapped.named_parameters() if one.requires_grad}
    for parameter in trained.values():
        nn.init.normal_(parameter.data, generator=torch.Generator().manual_seed(0))
    kept.mkdir()
    Adapters.of(trained, config).save(kept)
    texts = {"input_ids": torch.arange(4).reshape(1, 4), "attention_mask": torch.ones(1, 4, dtype=torch.long)}
    with torch.no_grad():
        before = Body.load(encoder).net(**texts).last_hidden_state
        merged = wrapped.merge_and_unload().eval()(**texts).last_hidden_state
        read = peft.PeftModel.from_pretrained(Body.load(encoder).net, str(kept)).eval()(**texts).last_hidden_state
    assert not np.allclose(before, merged, atol=1e-3)
    np.testing.assert_allclose(read, merged, atol=1e-4)
    assert sum(file.stat().st_size for file in kept.iterdir()) < 0.5 * (encoder / "model.safetensors").stat().st_size
