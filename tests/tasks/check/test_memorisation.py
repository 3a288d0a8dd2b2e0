"""What a model gives back word for word that it was trained on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from judged import NUMBER, Sums
from judged import case as of_numbers
from parrot import Parrot, case, counted

from tasks.check.memorisation import Memorisation

CHECK = Memorisation(rows=100, least_words=4, most=0.2)


def test_what_is_learned_by_heart_is_counted_beyond_what_is_known(tmp_path: Path) -> None:
    train, held = counted(40), counted(40, "other")
    known = dict(zip(train["prompt"][:30], train["response"], strict=False))
    known |= dict(zip(held["prompt"][:10], held["response"], strict=False))
    it = case(tmp_path, train, held, Parrot(known))
    found = CHECK.measure(it)
    assert found is not None
    value = {name: number.value for name, number in found.numbers.items()}
    assert value == pytest.approx({"of_training": 0.75, "of_holdout": 0.25, "beyond_the_holdout": 0.5})
    assert found.state == "failed"
    assert "50% of the training responses are written word for word" in found.reason
    told, passed = replace(CHECK, most=None).measure(it), replace(CHECK, most=0.6).measure(it)
    assert told is not None
    assert passed is not None
    assert (told.state, passed.state) == ("told", "passed")


def test_short_responses_are_no_evidence(tmp_path: Path) -> None:
    table = counted(20).assign(response="No.")
    found = CHECK.measure(case(tmp_path, table, table, Parrot(dict.fromkeys(table["prompt"], "No."))))
    assert found is not None
    assert (found.state, found.reason) == ("not_measurable", "no response has 4 words")


def test_a_model_that_writes_nothing_has_nothing_to_give_back(tmp_path: Path) -> None:
    import pandas as pd

    table = pd.DataFrame({"x": [0.0, 1.0], "y": [0.0, 1.0]})
    assert CHECK.measure(of_numbers(tmp_path, NUMBER, "mae", table, table, Sums())) is None
