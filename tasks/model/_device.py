"""Where nets are trained, in how many threads, and what is said when there is no room."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from typing import Any

import torch

from tasks.refusal import Refusal

SAID_OF_MEMORY = ("allocate memory", "out of memory", "ALLOC_FAILED")  # by the CPU's allocator, MPS and cuBLAS


def device(name: str) -> torch.device:
    """`auto`: CUDA or MPS, where there is one."""
    if name != "auto":
        return torch.device(name)
    return torch.device("cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu")


def get_ready() -> None:
    """Imports what torch's optimizers import when the first one is made, so that it is no part of what a fold takes:
    800 modules, 1.4 s of an idle core (torch 2.13)."""
    import_module("torch._dynamo")


def absent(name: str) -> list[str]:
    """A fault for a device that is not here."""
    known = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    here = [one for one, is_here in known.items() if is_here]
    if name in ("auto", *here):
        return []
    return [f"device={name}: PyTorch finds no such device here; choose auto or {' or '.join(here)}."]


@contextmanager
def named_memory(when: str, *remedies: str) -> Iterator[None]:
    """
    Raises:
        Refusal: instead of the library's error, when memory runs out.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:  # on the CPU and on MPS torch raises a plain RuntimeError
        is_said = any(text in str(error) for text in SAID_OF_MEMORY)
        if not is_said and not isinstance(error, MemoryError | torch.OutOfMemoryError):
            raise
        raise Refusal(f"out of memory {when}: try {', or '.join(remedies)}.") from error


def memory_of_a_batch(
    hyperparameters: Mapping[str, Any], n_rows: int, key: str, *others: str
) -> AbstractContextManager[None]:
    """As `named_memory`, with a smaller batch before other remedies, where there is one. n_rows: of all, which a batch
    has at most. key: what its hyperparameters stand under."""
    n = min(int(hyperparameters["batch_size"]), n_rows)
    smaller = [f"{key}.hyperparameters.batch_size={max(1, n // 4)}"] if n > 1 else []
    return named_memory(f"at batch_size={n}", *smaller, *others)


class _OneThread:
    """While any thread is inside, each computes in one thread: small nets were 3 to 10 times slower in more on a busy
    machine, and sums would depend on their number. A setting of the process and of the thread that makes it; so every
    thread makes it, and the last one out takes it back."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._n_inside, self._before = 0, 1

    def __enter__(self) -> None:
        with self._lock:
            if self._n_inside == 0:
                self._before = torch.get_num_threads()
            self._n_inside += 1
            torch.set_num_threads(1)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._n_inside -= 1
            if self._n_inside == 0:
                torch.set_num_threads(self._before)


one_thread = _OneThread()
