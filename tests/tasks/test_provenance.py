"""What stands in `base.json` comes back as it was written, and what is no part of the model doesn't identify it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from bases import UNKNOWN, base_of, sealed, source

from tasks import provenance
from tasks.provenance import Ancestor


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return base_of(source(), tmp_path_factory.mktemp("made"))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    lineage = (Ancestor("models:/a/1", "12", "full", "s", None, "Zoë"), Ancestor("b", "34", "pooled", "t", "MIT", None))
    whole = replace(UNKNOWN, lineage=lineage, files={"a.txt": "56"}, scores={"rmse": {"value": 1.5, "low": None}})
    (tmp_path / "base.json").write_text(whole.as_json(), encoding="utf-8")
    assert provenance.read(tmp_path) == whole
    assert provenance.read(tmp_path / "nothing") is None


def test_licence_and_date_and_source_rows_are_no_part_of_the_model(made: Path, tmp_path: Path) -> None:
    other = shutil.copytree(made, tmp_path / "other")
    shutil.rmtree(other / "source")
    sealed(other, licence="MIT", date="2026-01-01")
    first, second = provenance.read(made), provenance.read(other)
    assert first is not None
    assert second is not None
    assert first.sha256 == second.sha256
    assert provenance.identity(made, with_source=False) == provenance.identity(other, with_source=False)
    assert provenance.identity(made, with_source=True) != provenance.identity(other, with_source=True)


def test_a_file_in_another_place_or_with_other_content_is_another_model(made: Path, tmp_path: Path) -> None:
    was = provenance.identity(made, with_source=False)
    moved = shutil.copytree(made, tmp_path / "moved")
    (moved / "inner").mkdir()
    (moved / "levels.json").rename(moved / "inner" / "levels.json")
    changed = shutil.copytree(made, tmp_path / "changed")
    (changed / "levels.json").write_text("{}")
    assert len({was, *(provenance.identity(one, with_source=False) for one in (moved, changed))}) == 3
