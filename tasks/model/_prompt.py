"""A prompt and its response as the text that a language model sees: by its own chat template, or plainly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tokenizers import Tokenizer
from transformers.utils.chat_template_utils import render_jinja_template

from tasks.model._generator import Writer
from tasks.refusal import Refusal

SEPARATOR = "\n"  # between a prompt and its response, where there is no template
MARK = "\u241f"  # stands for a response while a template is looked at; no text of a user's has it

Tokens = list[int]


@dataclass(frozen=True)
class Format:
    """How pairs become tokens. Without a template: the token that begins a text, the prompt, a line's end, the response
    and the token that ends a text; what in a user's text looks like such a token is text."""

    writer: Writer

    @cached_property
    def _plain(self) -> Tokenizer:
        own = Tokenizer.from_str(self.writer.tokenizer.to_str())
        own.encode_special_tokens = True
        return own

    def prompts(self, texts: Sequence[str]) -> list[Tokens]:
        """All that stands before each response. Of an empty prompt the token that begins a text."""
        begin = [self.writer.begin]
        if self.writer.template is None:
            found = self._encoded(self._plain, [text + SEPARATOR if text else "" for text in texts])
            return [begin + tokens for tokens in found]
        rendered = [self._before(text) if text else "" for text in texts]
        found = self._encoded(self.writer.tokenizer, rendered)
        return [tokens if text else begin for text, tokens in zip(texts, found, strict=True)]

    @cached_property
    def n_opening(self) -> int:
        """How many tokens open every prompt: of a template all that stands before the user's text."""
        one, other = self.prompts(["a", "7"])
        return next(place for place, both in enumerate(zip(one, other, strict=False)) if both[0] != both[1])

    def responses(self, texts: Sequence[str], *, in_chat: bool) -> list[Tokens]:
        """Each response with what ends it. in_chat: whether prompts stand before them."""
        ending = self.ending if in_chat else [self.writer.end]
        return [tokens + ending for tokens in self._encoded(self._plain, texts)]

    @cached_property
    def ending(self) -> Tokens:
        """What a response ends with: up to the first token that is one of the model's ends or a special one."""
        if self.writer.template is None:
            return [self.writer.end]
        whole = self._rendered([{"role": "user", "content": "a"}, {"role": "assistant", "content": MARK}], ask=False)
        after = whole.partition(MARK)[2]
        tokens = self._encoded(self.writer.tokenizer, [after])[0] if after else []
        special = {*self.writer.ends, *self.writer.tokenizer.get_added_tokens_decoder()}
        place = next((place for place, token in enumerate(tokens) if token in special), None)
        return [self.writer.end] if place is None else tokens[: place + 1]

    @cached_property
    def ends(self) -> list[int]:
        """The tokens at which writing ends."""
        return list(dict.fromkeys([self.ending[-1], *self.writer.ends]))

    def text(self, tokens: Sequence[int]) -> str:
        """Of tokens that were written, up to an end."""
        place = next((place for place, token in enumerate(tokens) if token in self.ends), len(tokens))
        return str(self.writer.tokenizer.decode(list(tokens[:place]), skip_special_tokens=True))

    def _before(self, prompt: str) -> str:
        return self._rendered([{"role": "user", "content": prompt}], ask=True)

    def _rendered(self, messages: list[dict[str, str]], *, ask: bool) -> str:
        """
        Raises:
            Refusal: where the template can't be rendered.
        """
        try:
            found: Any = render_jinja_template(
                [messages], chat_template=self.writer.template, add_generation_prompt=ask, **self.writer.special
            )
        except Exception as error:  # whatever the template of another's model raises
            raise Refusal(f"the chat template of the base can't be rendered ({error}); remove it from the model's "
                          "folder, or choose another base.") from error  # fmt: skip
        return str(found[0][0])

    @staticmethod
    def _encoded(tokenizer: Tokenizer, texts: Sequence[str]) -> list[Tokens]:
        return [list(one.ids) for one in tokenizer.encode_batch(list(texts), add_special_tokens=False)]
