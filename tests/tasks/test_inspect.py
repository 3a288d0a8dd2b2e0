"""Before the search those checks alone are asked that need no model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from divisions import CLASSES, divided

from tasks.check.crossings import Crossings
from tasks.check.overfitting import Overfitting
from tasks.check.target_leak import TargetLeak
from tasks.inspect import inspect


def test_checks_of_a_model_are_left_out_and_what_finds_nothing_to_look_at(tmp_path: Path) -> None:
    x = pd.DataFrame({"x": np.random.default_rng(0).normal(size=60)})
    it = divided(tmp_path, CLASSES, x, x.head(5), np.arange(60) % 2)
    checks = (Crossings(), Overfitting(None, None, 1000, 200), TargetLeak(0.995, 5000))
    assert [finding.check for finding in inspect.fn(checks, it)] == ["target_leak"]
