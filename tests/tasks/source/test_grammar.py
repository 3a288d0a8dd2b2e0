"""The texts that are made on the spot."""

from __future__ import annotations

import re

import pytest

from tasks.refusal import Refusal
from tasks.source import load
from tasks.source.grammar import TOPICS, UNITS, Grammar


@pytest.mark.parametrize("topic", TOPICS)
def test_the_same_topic_has_the_same_rows_every_time_and_a_longer_one_begins_alike(topic: str) -> None:
    table, longer = load(Grammar(topic, 50)), load(Grammar(topic, 80))
    assert table.column_names == ["prompt", "response", "text", "form"]
    assert table.equals(load(Grammar(topic, 50)))
    assert longer.slice(0, 50).to_pydict() == table.to_pydict()


def test_answers_about_units_are_right() -> None:
    known = {(large, small): factor for large, small, factor in UNITS}
    for response in load(Grammar("units", 200))["response"].to_pylist():
        n, one, m, other = re.match(r"(\d+) (\w+)s are (\d+) (\w+)s", response).groups()  # type: ignore[union-attr]
        factor = known.get((one, other))
        assert int(m) == int(n) * factor if factor else int(n) == int(m) * known[other, one]


def test_an_unknown_topic_is_refused_with_a_suggestion() -> None:
    with pytest.raises(Refusal, match=r"source.topic=animal: .*did you mean 'animals'\?.*units"):
        Grammar("animal", 5)
