"""What is put away comes back, from the memory and from the disk."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest

from tasks import spool
from tasks.refusal import Refusal
from tasks.spool import Away, Spool

ARRAYS = [
    pa.array([1, None, 3], pa.int16()),
    pa.array([0.5, float("nan"), None], pa.float32()),
    pa.array([True, None, False]),
    pa.array(["a", None, "öß", ""]),
    pa.array(["a", "b", "c"], pa.large_string()).slice(1, 1),
    pa.array([date(2024, 1, 31), None]),
    pa.array([], pa.float64()),
    pa.array([None, None]),
]


@pytest.mark.parametrize("n_bytes", [0, 40, 1 << 20])
def test_arrays_come_back_in_any_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_bytes: int) -> None:
    monkeypatch.setattr(spool, "N_BYTES_IN_MEMORY", n_bytes)
    with Spool(tmp_path) as kept:
        receipts = [kept.put(array) for array in ARRAYS]
        back = [kept.get(receipt) for receipt in receipts[::-1]][::-1]
    for was, now in zip(ARRAYS, back, strict=True):
        assert (was.type, repr(was.to_pylist())) == (now.type, repr(now.to_pylist()))
    assert any(isinstance(one, Away) for one in receipts) == (n_bytes < 1 << 20)


def test_the_file_has_no_name_that_a_kill_could_leave_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "N_BYTES_IN_MEMORY", 0)
    with Spool(tmp_path / "made") as kept:
        receipt = kept.put(ARRAYS[0])
        assert list((tmp_path / "made").iterdir()) == []
        assert kept.get(receipt).equals(ARRAYS[0])


def test_a_folder_that_can_not_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "N_BYTES_IN_MEMORY", 0)
    (tmp_path / "file").write_text("")
    with pytest.raises(Refusal, match="can't hold the table while it is read: Not a directory; make room"):
        Spool(tmp_path / "file" / "below").put(ARRAYS[0])
