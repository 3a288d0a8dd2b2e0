"""What a model writes for prompts of the holdout, beside the reference and what its base wrote."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from parrot import PAIR, PROBLEM, Parrot, counted, split_of

from tasks import model as models
from tasks.check import Case
from tasks.check.forgetting import Forgetting
from tasks.check.slices import Slices
from tasks.generate import generate, scores
from tasks.model import FAMILY
from tasks.predictor import Predictor
from tasks.records import Trained
from tasks.refusal import Refusal


def test_exact_match_and_words_in_common_are_those_by_hand_before_and_after(tmp_path: Path) -> None:
    held = counted(20)
    right = dict(zip(held["prompt"], held["response"], strict=True))
    half = {prompt: text if k % 2 else "That is not" for k, (prompt, text) in enumerate(right.items())}
    models.save(Parrot(half), tmp_path / "model")
    models.save(Parrot(dict.fromkeys(right, "nothing")), tmp_path / "base")
    split: Any = SimpleNamespace(folder=str(split_of(tmp_path, counted(20), held)))
    made = generate.fn(split, Trained(str(tmp_path / "model"), "parrot", 1, None), tmp_path / "base", "", 0)
    assert made.n_rows == 20
    assert {name: number.value for name, number in made.scores.items()} == pytest.approx(
        {"exact_match": 0.5, "token_f1": 0.5 + 0.5 * 2 * 2 / (3 + 6)}
    )
    assert made.scores["exact_match"].low < 0.5 < made.scores["exact_match"].high
    assert [number.value for number in made.before.values()] == [0, 0]
    table = pd.read_parquet(made.table)
    assert list(table) == ["prompt", "reference", "before", "after", "exact_match", "token_f1"]
    assert (table["reference"] == held["response"]).all()


def test_each_slice_has_scores_of_its_own_and_few_rows_have_no_interval(tmp_path: Path) -> None:
    held = counted(20)
    right = dict(zip(held["prompt"], held["response"], strict=True))
    wrong = {prompt: text if k < 10 else "nothing" for k, (prompt, text) in enumerate(right.items())}
    models.save(Parrot(wrong), tmp_path / "model")
    split: Any = SimpleNamespace(folder=str(split_of(tmp_path, counted(20), held)))
    labels = pd.DataFrame({"form": ["asked"] * 10 + ["told"] * 10, "size": ["all but one"] * 19 + ["rare"]})
    labels.to_parquet(tmp_path / "slices.parquet")
    trained = Trained(str(tmp_path / "model"), "parrot", 1, None)
    made = generate.fn(split, trained, None, str(tmp_path / "slices.parquet"), 0)
    assert list(made.slices) == ["form=asked", "form=told", "size=all but one"]
    assert [one["exact_match"].value for one in made.slices.values()] == pytest.approx([1, 0, 10 / 19])
    asked = made.slices["form=asked"]
    assert (asked["rows"].value, asked["exact_match"].high, asked["token_f1"].value) == (10, 1, 1)
    assert asked["exact_match"].low == pytest.approx(0.722, abs=0.001)  # of ten out of ten (Wilson 1927)
    assert list(pd.read_parquet(made.table))[-2:] == ["slice form", "slice size"]
    few = scores(["a", "b"], ["a", "c"], 0)
    assert [(one.value, math.isnan(one.low)) for one in few.values()] == [(0.5, True)] * 2


def test_without_a_base_nothing_was_written_before(tmp_path: Path) -> None:
    models.save(Parrot(), tmp_path / "model")
    split: Any = SimpleNamespace(folder=str(split_of(tmp_path, counted(20), counted(20))))
    made = generate.fn(split, Trained(str(tmp_path / "model"), "parrot", 1, None), None, "", 0)
    assert made.before == {}
    assert "before" not in pd.read_parquet(made.table)


def predictor(folder: Path) -> Predictor:
    models.save(Parrot({"Why?": "So."}), folder)
    (folder / "schema.json").write_text(PAIR.to_json())
    (folder / "problem.json").write_text(json.dumps(vars(PROBLEM)))
    assert (folder / FAMILY).exists()
    return Predictor.load(folder)


def test_a_predictor_answers_prompts_without_a_response_beside_them(tmp_path: Path) -> None:
    it = predictor(tmp_path)
    assert [column.name for column in it.asked.columns] == ["prompt"]
    raw = pd.DataFrame({"prompt": ["Why?", None], "more": [1, 2]}, index=[7, 9])
    found = it.predict(raw)
    assert found.to_dict() == {"prediction": {7: "So.", 9: ""}}


def test_a_written_text_has_no_interval_and_no_contributions(tmp_path: Path) -> None:
    it, raw = predictor(tmp_path), pd.DataFrame({"prompt": ["Why?"]})
    with pytest.raises(Refusal, match=r"interval=0.9: response is text that is written"):
        it.predict(raw, interval=0.9)
    with pytest.raises(Refusal, match="contributions: response is text"):
        it.predict(raw, contributions=True)
    with pytest.raises(Refusal, match=r"lack 1 of the columns .* prompt"):
        it.predict(pd.DataFrame({"question": ["Why?"]}))


def test_forgetting_is_told_in_perplexity_too(tmp_path: Path) -> None:
    from judged import write_source
    from parrot import case

    it: Case = case(tmp_path, counted(20), counted(20), Parrot({}, 2.0), Parrot({}, 1.0))
    assert it.base is not None
    write_source(it.base, counted(30).assign(target=20.0, part="holdout"))
    found = Forgetting(most_lost=0.1, resamples=200).measure(it)
    value = {name: round(number.value, 3) for name, number in found.numbers.items()}
    assert (value["perplexity_of_the_base"], value["perplexity"], value["worse"]) == (2.718, 7.389, 1.0)
    assert found.state == "failed"
    assert "pooled" not in found.reason  # which no model that writes knows
    assert found.numbers["perplexity"].low <= found.numbers["perplexity"].value <= found.numbers["perplexity"].high


def test_a_slice_is_told_in_perplexity_too(tmp_path: Path) -> None:
    from parrot import case

    labels = pd.DataFrame({"form": ["asked"] * 20 + ["told"] * 20})
    labels.to_parquet(tmp_path / "slices.parquet")
    it: Case = case(tmp_path, counted(20), counted(40), Parrot({}, 2.0), Parrot({}, 1.0))
    np.save(it.split / "is_held.npy", np.packbits(np.ones(40, bool)))
    found = Slices(0.05, 10, 5, 200).measure(replace(it, slices=tmp_path / "slices.parquet"))
    assert found is not None
    assert list(found.parts) == ["form=asked", "form=told"]
    for part in found.parts.values():
        assert part["perplexity"].value == pytest.approx(np.exp(2.0))
        assert part["perplexity_of_the_base"].value == pytest.approx(np.exp(1.0))
        assert part["perplexity"].low <= part["perplexity"].value
