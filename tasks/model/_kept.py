"""Folds in the form a family trains on, kept for all trials within a bound of memory."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

BYTES = 2**28  # a fold is cut again in 12 ms at 500,000 x 20
N_LEAST = 2  # kept whatever their size: trials that run side by side mostly work on neighbouring folds

T = TypeVar("T")


@dataclass
class _Place(Generic[T]):
    lock: threading.Lock = field(default_factory=threading.Lock)
    made: list[T] = field(default_factory=list)
    n_bytes: int = 0


class Kept(Generic[T]):
    """What `make` gives for a key is made once, also when several threads ask at the same time; other keys need not
    wait for it. When all together exceed `BYTES`, what was used least recently goes."""

    def __init__(self, n_bytes: Callable[[T], int]) -> None:
        self._n_bytes = n_bytes
        self._lock = threading.Lock()
        self._places: OrderedDict[Hashable, _Place[T]] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        with self._lock:
            place = self._places.setdefault(key, _Place())
            self._places.move_to_end(key)
        with place.lock:
            if not place.made:
                place.made.append(make())
                place.n_bytes = self._n_bytes(place.made[0])
        with self._lock:
            while len(self._places) > N_LEAST and sum(kept.n_bytes for kept in self._places.values()) > BYTES:
                self._places.popitem(last=False)
        return place.made[0]

    def clear(self) -> None:
        """Lets go of all."""
        with self._lock:
            self._places.clear()

    def __len__(self) -> int:
        return len(self._places)
