"""The most memory that this process held during some work."""

from __future__ import annotations

import gc
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tasks.parquet import give_back_memory
from tasks.workspace import forget

RESET = "5"  # written to clear_refs, sets VmHWM to what is held now (Linux, man 5 proc)


@dataclass
class Peak:
    """In millions of bytes; where the system can't begin anew (macOS), of the process so far."""

    megabytes: float = 0.0


@contextmanager
def peak_memory() -> Iterator[Peak]:
    """Measures until the block ends, from what the process can't give back of earlier work on; what is kept of other
    trials is let go. Memory of other processes (Dask's, Ray's workers) is not in it."""
    forget()
    gc.collect()
    give_back_memory()
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text(RESET)
    peak = Peak()
    try:
        yield peak
    finally:
        peak.megabytes = _held() / 1e6


def _held() -> float:
    """The high-water mark in bytes."""
    with suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        return 1024 * float(next(line for line in lines if line.startswith("VmHWM")).split()[1])
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(most if sys.platform == "darwin" else 1024 * most)
