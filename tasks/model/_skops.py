"""skops, imported without torch: it asks scikit-learn for all estimators, whose modules import torch where that is
installed, 2 s and 200 MB that no estimator has a use for."""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder

__all__ = ["UntrustedTypesFoundException", "dump", "dumps", "get_untrusted_types", "load"]


class _WithoutTorch(MetaPathFinder):
    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name == "torch":
            raise ModuleNotFoundError("not while skops is imported", name=name)


sys.meta_path.insert(0, finder := _WithoutTorch())
try:
    from skops.io import dump, dumps, get_untrusted_types, load
    from skops.io.exceptions import UntrustedTypesFoundException
finally:
    sys.meta_path.remove(finder)
