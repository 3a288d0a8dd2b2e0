"""Values that are the user's own names mean themselves."""

from __future__ import annotations

import pytest

from flows.config import compose
from flows.overrides import sweep
from flows.typed import LISTS_OF_NAMES, NAMES, is_typed_as_is, read_typed_value

ODD = [
    "My data (1).csv",
    "a,b",
    "it's",
    "a=b",
    "?sslmode=require",
    "1",
    "null",
    "[x]",
    'say "hi"',
    "SELECT count(*)",
    "é: {y}",
]


@pytest.mark.parametrize("text", ODD)
def test_a_name_means_itself(text: str) -> None:
    composed = compose(["source=file", "source.path=x", f"source.target={text}"])
    assert composed.config.source["target"] == text


@pytest.mark.parametrize("text", ODD)
def test_a_path_means_itself(text: str) -> None:
    assert compose(["source=file", f"source.path={text}"]).config.source["path"] == text


def test_a_list_keeps_each_name_as_typed() -> None:
    source = compose(['source.drop=[a, "b, c",1,null]']).config.source
    assert source["drop"] == ["a", "b, c", "1", "null"]


def test_one_name_without_brackets_is_a_list_of_one_comma_and_all() -> None:
    assert compose(["source.drop=a, b"]).config.source["drop"] == ["a, b"]


def test_an_empty_list_is_empty() -> None:
    assert read_typed_value("source.drop", "[]") == []


def test_a_dollar_is_a_letter_but_an_environment_variable_stays_a_reference() -> None:
    source = compose(
        ["source=sql", "source.query=x", "source.url=${oc.env:NOT_SET}", "source.target=${price}"]
    ).config.source
    assert (source["url"], source["target"]) == ("${oc.env:NOT_SET}", "${price}")


def test_a_sweep_over_names_needs_quotes() -> None:
    assert list(sweep(["source.target=a,b"]).values()) == [["source.target=a,b"]]
    assert list(sweep(["source.target='a','b'"]).values()) == [["source.target=a"], ["source.target=b"]]


def test_every_such_key_exists_in_some_source() -> None:
    sources = [compose(["source=file"]), compose(["source=sql"])]
    known = {f"source.{key}" for composed in sources for key in composed.config.source}
    known |= {"holdout.path", "search.warm_start", "base", "source_data", "slices"}
    known |= {"pretrain.licence", "pretrain.origin", "labels.path"}
    known |= {f"predictions.{key}" for key in compose([]).recorded["predictions"]}
    assert known >= NAMES | LISTS_OF_NAMES
    assert not is_typed_as_is("search.trials")


def test_null_is_nothing_where_nothing_may_stand() -> None:
    config = compose(["base=null", "source_data=my rows, 2011.csv", "pretrain.origin=https://a.example/b?c=d"]).config
    assert (config.base, config.source_data) == (None, "my rows, 2011.csv")
    assert config.pretrain.origin == "https://a.example/b?c=d"


def test_quotes_of_both_kinds_may_stand_in_one_list() -> None:
    assert read_typed_value("source.drop", "['a', \"b, c\", it's, d]") == ["a", "b, c", "it's", "d"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("balanced", "balanced"),
        ("null", None),
        ("{<=50K: 1, >50K: 2.5}", {"<=50K": 1.0, ">50K": 2.5}),
        ('{"a, b": 2,1: 3,true: 4}', {"a, b": 2.0, "1": 3.0, "true": 4.0}),
        ("{a: b: 3}", {"a: b": 3.0}),
        ("{it's: 1e-3}", {"it's": 0.001}),
        ("{yes: many}", {"yes": "many"}),
        ("{yes}", "{yes}"),
        ("{yes: 1, no}", "{yes: 1, no}"),
        ("{}", "{}"),
    ],
)
def test_weights_of_classes_are_read_by_the_classes_own_names(text: str, expected: object) -> None:
    assert compose([f"class_weight={text}"]).config.class_weight == expected
    assert list(sweep([f"class_weight={text}"]).values()) == [[f"class_weight={text}"]]
