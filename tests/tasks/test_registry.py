"""Names of models."""

from __future__ import annotations

import pytest

from tasks.refusal import Refusal
from tasks.registry import check_name, possible_name


@pytest.mark.parametrize("name", ["o'brien", "a:b", "a/b", 'say "hi"', " "])
def test_a_name_that_the_registry_does_not_take_is_refused_with_the_key(name: str) -> None:
    with pytest.raises(Refusal, match="model_name="):
        check_name(name)


def test_a_sources_name_becomes_one_that_it_takes() -> None:
    check_name(possible_name("o'brien: a/b.v2"))
    assert possible_name("breast_cancer") == "breast_cancer"
