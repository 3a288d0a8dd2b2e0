"""BLAS in one thread: what it computes then depends on no number of cores, and trials side by side don't crowd it."""

from __future__ import annotations

import functools
from contextlib import AbstractContextManager

import scipy.linalg  # noqa: F401  # loads SciPy's own BLAS, beside NumPy's
from threadpoolctl import ThreadpoolController


def one_thread() -> AbstractContextManager[object]:
    """For the whole process, until the block ends."""
    limit: AbstractContextManager[object] = _libraries().limit(limits=1, user_api="blas")
    return limit


@functools.cache
def _libraries() -> ThreadpoolController:
    """Found once: looking through all that is loaded takes 7 ms, as long as a linear fit on 800 rows of 384 columns."""
    return ThreadpoolController()
