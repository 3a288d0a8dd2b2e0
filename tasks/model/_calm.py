"""What scikit-learn's solvers need around them while they fit."""

from __future__ import annotations

import threading
import warnings
from contextlib import ExitStack

from scipy.linalg import LinAlgWarning
from sklearn.exceptions import ConvergenceWarning

from tasks.blas import one_thread


class _Calm:
    """While any thread is inside: BLAS computes in one thread, so that results don't depend on the number of cores
    and trials don't crowd each other, and solvers that stop at `iterations` don't warn. Both are settings of the
    whole process; so the first thread in makes them and the last one out takes them back."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._n_inside = 0
        self._settings = ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            if self._n_inside == 0:
                self._settings.enter_context(warnings.catch_warnings())
                self._settings.enter_context(one_thread())
                warnings.simplefilter("ignore", ConvergenceWarning)
                warnings.simplefilter("ignore", LinAlgWarning)
            self._n_inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._n_inside -= 1
            if self._n_inside == 0:
                self._settings.close()


calm = _Calm()
