"""Questions and answers that a small grammar makes, for a first run of a model that writes without a file or a network.

Two topics share their form and some of their words: `animals` (what one eats, where it lives, how it sounds, how many
legs some have) and `units` (lengths, weights and times in other units). A model that is pre-trained on one must learn
the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pyarrow as pa
from pydantic import Field

from tasks.refusal import Refusal, did_you_mean

ANIMALS = {
    "badger": ("berries and mice", "in the forest", "grunts"), "owl": ("mice", "in old trees", "hoots"),
    "cow": ("grass", "on the meadow", "moos"), "bee": ("nectar", "in a hive", "hums"),
    "bear": ("honey and fish", "in the mountains", "growls"), "frog": ("flies", "by the pond", "croaks"),
    "horse": ("hay", "in the stable", "neighs"), "duck": ("water plants", "on the lake", "quacks"),
    "goat": ("clover", "on the hill", "bleats"), "rat": ("seeds", "under the floor", "squeaks"),
    "dog": ("meat and bones", "in the yard", "barks"), "swan": ("young grass", "by the river", "hisses"),
}  # fmt: skip
LEGS = dict.fromkeys(ANIMALS, 4) | dict.fromkeys(("owl", "duck", "swan"), 2) | {"bee": 6}
KINDS = ("", "young ", "old ", "small ", "large ", "brown ", "grey ", "hungry ", "tired ", "clever ", "shy ", "wild ")
WHEN = ("", " in spring", " in summer", " in autumn", " in winter", " at night", " in the morning")
UNITS = (("metre", "centimetre", 100), ("kilometre", "metre", 1000), ("kilogram", "gram", 1000), ("hour", "minute", 60),
         ("minute", "second", 60), ("litre", "millilitre", 1000), ("day", "hour", 24), ("week", "day", 7))  # fmt: skip
WHERE = ("", " of string", " of rope", " in the plan", " on the label", " by the clock", " in the recipe")
LARGEST = 20
TOPICS = ("animals", "units")


@dataclass(frozen=True)
class Grammar:
    """Columns `prompt`, `response`, `text` (both, one after the other) and `form` (which kind of question it is).

    topic: animals or units. rows: how many, drawn with replacement. Raises a Refusal for another topic.
    """

    topic: str
    rows: Annotated[int, Field(ge=1)]

    def __post_init__(self) -> None:
        if self.topic not in TOPICS:
            near = did_you_mean(self.topic, TOPICS)
            raise Refusal(f"source.topic={self.topic}: no such topic{near}. Choices: {', '.join(TOPICS)}.")

    @property
    def name(self) -> str:
        return self.topic

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows, the same every time."""
        random = np.random.default_rng(TOPICS.index(self.topic))
        make = _of_animals if self.topic == "animals" else _of_units
        made = [make(random) for _ in range(self.rows)]
        prompts, responses, forms = zip(*made, strict=True)
        texts = [f"{prompt} {response}" for prompt, response in zip(prompts, responses, strict=True)]
        yield pa.RecordBatch.from_pydict({"prompt": prompts, "response": responses, "text": texts, "form": forms})

    def notes(self) -> list[str]:
        """Nothing: these texts are known."""
        return []


def _of_animals(random: np.random.Generator) -> tuple[str, str, str]:
    animal = sorted(ANIMALS)[random.integers(len(ANIMALS))]
    food, home, sound = ANIMALS[animal]
    who, when = KINDS[random.integers(len(KINDS))] + animal, WHEN[random.integers(len(WHEN))]
    n, legs = int(random.integers(2, LARGEST + 1)), LEGS[animal]
    return (
        (f"What does the {who} eat{when}?", f"The {who} eats {food}{when}.", "food"),
        (f"Where does the {who} live{when}?", f"The {who} lives {home}{when}.", "home"),
        (f"What sound does the {who} make{when}?", f"The {who} {sound}{when}.", "sound"),
        (f"How many legs does a group of {n} {who}s have?", f"{n} {who}s have {n * legs} legs.", "legs"),
        (f"How many {who}s are a group with {n * legs} legs?", f"{n} {who}s have {n * legs} legs.", "legs"),
    )[random.integers(5)]


def _of_units(random: np.random.Generator) -> tuple[str, str, str]:
    (large, small, factor), n = UNITS[random.integers(len(UNITS))], int(random.integers(2, LARGEST + 1))
    where = WHERE[random.integers(len(WHERE))]
    if random.random() < 0.5:
        one, other, form = f"{n} {large}s", f"{n * factor} {small}s", "smaller"
    else:
        one, other, form = f"{n * factor} {small}s", f"{n} {large}s", "larger"
    return f"How many {other.partition(' ')[2]} are {one}{where}?", f"{one} are {other}{where}.", form
