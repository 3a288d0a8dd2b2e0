"""Folds in the form a family trains on, kept for all trials within a bound of memory."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

BYTES = 2**28
N_LEAST = 2  # trials that run side by side mostly work on neighbouring folds

T = TypeVar("T")


@dataclass
class _Place(Generic[T]):
    """held: what is kept for whoever asks next; used: the same, found as long as anybody else holds it."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    held: T | None = None
    used: Callable[[], T | None] = lambda: None
    n_bytes: int = 0

    @property
    def made(self) -> T | None:
        return self.used() if self.held is None else self.held

    def hold(self, made: T, n_bytes: int) -> None:
        self.held, self.n_bytes, self.used = made, n_bytes, _found(made)


class Kept(Generic[T]):
    """What `make` gives for a key is made once, also when several threads ask at the same time; other keys need not
    wait for it.

    When all together exceed `BYTES`, what was used least recently goes, before the next one is made; at least `n_least`
    stay, whatever their size, where making one anew is dear. What has gone and is still used somewhere is counted, and
    is given to who asks for it.
    """

    def __init__(self, n_bytes: Callable[[T], int], n_least: int = N_LEAST) -> None:
        self._n_bytes = n_bytes
        self._n_least = n_least
        self._lock = threading.Lock()
        self._places: OrderedDict[Hashable, _Place[T]] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        with self._lock:
            place = self._places.setdefault(key, _Place())
            self._places.move_to_end(key)
        with place.lock:
            made = place.made
            if made is None:
                self._make_room(for_another=True)
                made = make()
            place.hold(made, self._n_bytes(made))
        self._make_room()
        return made

    def clear(self) -> None:
        """Lets go of all."""
        with self._lock:
            self._places.clear()

    def __len__(self) -> int:
        return sum(place.held is not None for place in self._places.values())

    def _make_room(self, *, for_another: bool = False) -> None:
        with self._lock:
            coming = max(place.n_bytes for place in self._places.values()) if for_another else 0
            held = [place for place in self._places.values() if place.held is not None]
            while held and len(held) + for_another > self._n_least and self._in_memory() + coming > BYTES:
                held.pop(0).held = None

    def _in_memory(self) -> int:
        return sum(place.n_bytes for place in self._places.values() if place.made is not None)


def _found(made: T) -> Callable[[], T | None]:
    """What finds it as long as somebody holds it; of plain numbers and lists Python can't tell."""
    try:
        return weakref.ref(made)
    except TypeError:
        return lambda: None
