"""Names of columns as TensorFlow takes them."""

from __future__ import annotations

from tasks.format._signature import signature_names


def test_names_that_tensorflow_takes_stay_and_others_stay_apart() -> None:
    found = signature_names(["age", "size, m", "size; m", "Köln", "_x", "AGE"])
    assert found["age"] == "age"
    assert found["size, m"] == "size__m"
    assert found["size; m"] == "size__m_2"
    assert found["AGE"] == "AGE_2"
    assert found["_x"] == "column_x"
    assert len({name.lower() for name in found.values()}) == 6
