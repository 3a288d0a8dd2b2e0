"""Causal language models: found, checked and read. Of what lies in a model's folder nothing is ever executed: its
weights are safetensors, its tokenizer is a `tokenizer.json`, code of its own (`auto_map`) is refused, and a chat
template is rendered in Jinja's sandbox, by transformers."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from tasks.base_folder import writes
from tasks.refusal import Refusal

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # threads of its own beside those of the trials

import torch
import transformers
from tokenizers import Tokenizer
from torch import Tensor, nn

from tasks.model._encoder import reading

CONFIG, TOKENIZER, TOKENS, TEMPLATE = "config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"
GENERATION = "generation_config.json"
SPECIAL = ("bos_token", "eos_token", "pad_token", "unk_token")
N_PROBED = 8  # tokens; a padding's row alone is zeros, of which any head makes zeros
UNBOUNDED = 1024  # tokens of a model that names no context


@dataclass(frozen=True)
class Writer:
    """A language model in memory; `net` is shared by all that don't train it, and never changed. template: Jinja's text
    of a chat, or None. special: the tokens that a template may name, by their names there."""

    net: nn.Module
    tokenizer: Tokenizer
    template: str | None = None
    special: Mapping[str, str] = field(default_factory=dict)

    @property
    def context(self) -> int:
        """Tokens that it can look at, at most."""
        return int(getattr(self.config, "max_position_embeddings", None) or UNBOUNDED)

    @property
    def config(self) -> Any:
        return self.net.config

    @property
    def vocabulary(self) -> int:
        """Tokens that it tells apart."""
        return int(self.net.get_input_embeddings().weight.shape[0])

    @property
    def width(self) -> int:
        """Numbers for a token."""
        return int(self.net.get_input_embeddings().weight.shape[1])

    @property
    def end(self) -> int:
        """The token that ends a text."""
        return self.ends[0]

    @property
    def begin(self) -> int:
        """The token that a text begins with: its own, or as in GPT-2 the one that ended the text before."""
        own = getattr(self.config, "bos_token_id", None)
        return self.end if own is None else int(own)

    @cached_property
    def ends(self) -> list[int]:
        """Of the configuration, and where the tokenizer ends a text with another, that one last."""
        generation = getattr(self.net, "generation_config", None)
        given = [getattr(one, "eos_token_id", None) for one in (self.config, generation)]
        return _ids(*given, _own_end(self.tokenizer, self.special))

    @cached_property
    def n_parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.net.parameters())

    @cached_property
    def is_plain(self) -> bool:
        """Whether its logits are its head's of the last hidden states and nothing more: then they are computed for the
        tokens alone that are learned, which spares a large vocabulary's for the prompts."""
        n = min(N_PROBED, self.context)
        ids = torch.linspace(0, self.vocabulary - 1, n, device=self.net.device).long()[None]
        with torch.inference_mode():
            whole = self.net(input_ids=ids, use_cache=False).logits
            parts = self.net.get_output_embeddings()(hidden_states(self.net, ids))
        return bool(torch.allclose(whole, parts, atol=1e-5))

    def copied(self) -> nn.Module:
        """The net, to be trained."""
        return copy.deepcopy(self.net).requires_grad_(True)

    def of(self, net: nn.Module) -> Writer:
        """The same with another net."""
        return Writer(net.eval().requires_grad_(False), self.tokenizer, self.template, self.special)

    def save(self, folder: Path) -> None:
        """As a folder of Hugging Face's kind."""
        self.net.save_pretrained(folder)
        self.tokenizer.save(str(folder / TOKENIZER))
        told = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": self.context, **self.special}
        (folder / TOKENS).write_text(json.dumps(told, ensure_ascii=False), encoding="utf-8")
        if self.template is not None:
            (folder / TEMPLATE).write_text(self.template, encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> Writer:
        """
        Raises:
            Refusal: where the folder holds no language model, or one that can't be read safely.
        """
        check(folder)
        with reading, torch.random.fork_rng(devices=[]):  # weights that a file lacks are drawn
            torch.manual_seed(0)
            net = transformers.AutoModelForCausalLM.from_pretrained(
                str(folder), local_files_only=True, trust_remote_code=False, use_safetensors=True, dtype=torch.float32
            )
        tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        tokenizer.no_padding()
        tokenizer.no_truncation()
        template, special = _told(folder)
        return cls(net.eval().requires_grad_(False).to(device), tokenizer, template, special)


def hidden_states(net: nn.Module, ids: Tensor) -> Tensor:
    """(B, L, H) of tokens (B, L) that are padded on the right, if at all: no token sees one after it."""
    found: Tensor = net.base_model(input_ids=ids, use_cache=False).last_hidden_state
    return found


def check(folder: Path) -> None:
    """
    Raises:
        Refusal: for every one of its `faults`.
    """
    if found := faults(folder):
        raise Refusal(*(f"{folder}: {fault}" for fault in found))


def faults(folder: Path) -> list[str]:
    """Why a folder holds no language model that can be read without executing anything of it, or one whose parts don't
    fit together. Its weights are not read."""
    absent = [name for name in (CONFIG, TOKENIZER) if not (folder / name).exists()]
    if absent:
        return [f"it holds no language model: {' and '.join(absent)} missing."]
    if not list(folder.glob("*.safetensors")):
        return ["it holds no weights as safetensors; other formats may hold code and are refused: convert them by "
                "`save_pretrained` in an environment that you trust them in."]  # fmt: skip
    found = [f"{name} names code of the model's own (auto_map), which is never executed; choose another."
             for name in (CONFIG, TOKENS) if "auto_map" in _json(folder / name)]  # fmt: skip
    if not writes(folder):
        found.append("it is an encoder, which writes nothing; give it to model=text_encoder, and a causal language "
                     "model, such as GPT-2 or Llama, to model=text_generator.")  # fmt: skip
    return found or _misfits(folder)


def doubts(folder: Path) -> list[str]:
    """What is to be said of a folder without `faults`, whose tokenizer may be another model's all the same."""
    config, tokenizer = _config(folder), Tokenizer.from_file(str(folder / TOKENIZER))
    ends, own, n_known, found = _ends(folder), _own_end(tokenizer, _told(folder)[1]), _n_known(tokenizer), list[str]()
    if n_known < config.vocab_size / 2:
        found.append(f"its tokenizer has {n_known:,} tokens, and the model knows {config.vocab_size:,}, most of which "
                     f"are never read or written; is {TOKENIZER} this model's?")  # fmt: skip
    if own is not None and own not in ends:
        found.append(f"its tokenizer ends a text with {tokenizer.id_to_token(own)}, and {CONFIG} with "
                     f"{tokenizer.id_to_token(ends[0])}: the latter is learned, and both end a response")  # fmt: skip
    return found


def _misfits(folder: Path) -> list[str]:
    """What of its parts doesn't fit together."""
    try:
        config, tokenizer = _config(folder), Tokenizer.from_file(str(folder / TOKENIZER))
    except Exception as error:  # tokenizers raises no other
        return [f"{CONFIG} or {TOKENIZER} can't be read ({str(error).splitlines()[0]}); fetch the model again."]
    n_known, vocabulary, ends = _n_known(tokenizer), config.vocab_size, _ends(folder)
    if n_known > vocabulary:
        return [f"its tokenizer doesn't fit the model: it has {n_known:,} tokens, and the model knows {vocabulary:,}; "
                f"take {TOKENIZER} from where the model is from."]  # fmt: skip
    if not ends:
        return [f"{CONFIG} names no eos_token_id, so the model could not end a response; add it."]
    named = [tokenizer.token_to_id(token) for token in _told(folder)[1].values()]
    special = {*named, *tokenizer.get_added_tokens_decoder()}
    found = []
    for key, ids in (("bos_token_id", _ids(getattr(config, "bos_token_id", None))), ("eos_token_id", ends)):
        found += [f"its {key}={one} is no token of the model, which knows {vocabulary:,}; correct it in {CONFIG}."
                  for one in ids if not 0 <= one < vocabulary]  # fmt: skip
        found += [f"its {key}={one} is no special token of its tokenizer (it is {tokenizer.id_to_token(one)!r}); take "
                  f"{TOKENIZER} from where the model is from, or correct {CONFIG}."
                  for one in ids if 0 <= one < vocabulary and one not in special]  # fmt: skip
    return found


def _config(folder: Path) -> Any:
    return transformers.AutoConfig.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)


def _ends(folder: Path) -> list[int]:
    """The tokens that end a text, by the model's configuration and by what says how it writes."""
    return _ids(getattr(_config(folder), "eos_token_id", None), _json(folder / GENERATION).get("eos_token_id"))


def _own_end(tokenizer: Tokenizer, special: Mapping[str, str]) -> int | None:
    """What its tokenizer ends a text with, where it says so."""
    found: int | None = tokenizer.token_to_id(special.get("eos_token", ""))
    return found


def _n_known(tokenizer: Tokenizer) -> int:
    return int(max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1)) + 1


def _ids(*given: Any) -> list[int]:
    """Of tokens that are given as one, as several or not at all; none twice."""
    flat = [one for ids in given if ids is not None for one in (ids if isinstance(ids, list) else [ids])]
    return [int(one) for one in dict.fromkeys(flat)]


def _told(folder: Path) -> tuple[str | None, dict[str, str]]:
    """The chat template, and the special tokens."""
    told = _json(folder / TOKENS)
    named = {name: one.get("content", "") if isinstance(one, dict) else one
             for name in SPECIAL if (one := told.get(name)) is not None}  # fmt: skip
    if (folder / TEMPLATE).exists():
        return (folder / TEMPLATE).read_text(encoding="utf-8"), named
    given = told.get("chat_template")
    if isinstance(given, list):  # several by name
        given = next((one["template"] for one in given if one.get("name") == "default"), None)
    return given, named


def _json(path: Path) -> dict[str, Any]:
    found: Any = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found if isinstance(found, dict) else {}
