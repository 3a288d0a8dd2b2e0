"""A password in an address is masked in every spelling that a message may use."""

from __future__ import annotations

import pytest

from tasks.source._secret import masked


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://me:top@sec/ret%21@host/db",
        "postgresql://me@there:top%40sec%2Fret!@host/db",
        "postgresql://host/db?user=me&password=top%40sec%2Fret%21",
        "mssql+pyodbc:///?odbc_connect=UID%3Dme%3BPWD%3Dtop%40sec%2Fret%21%3BServer%3Dhost",
        "s3://bucket/file.csv?token=top@sec/ret!",
    ],
)
def test_no_spelling_of_a_password_is_left(address: str) -> None:
    shown = masked(f"no way to {address}: 'top@sec/ret!', top%40sec%2Fret%21 refused", address)
    assert "sec" not in shown
    assert "no way to" in shown
    assert "refused" in shown


def test_a_path_is_left_as_it_is() -> None:
    assert masked("no file data/key=part/c:d@e.csv", "data/key=part/c:d@e.csv") == "no file data/key=part/c:d@e.csv"
