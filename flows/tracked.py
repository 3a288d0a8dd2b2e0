"""Tracked: MLflow as commands look at it that run nothing; where there is none yet, none is made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from flows import config as configs
from flows.build import resolve
from flows.commands import ONLY_KEYS
from flows.config import Config
from flows.overrides import key_of
from tasks import tracking
from tasks.refusal import Refusal, did_you_mean

LOCAL = Path("mlruns") / "mlflow.db"


def config_for(command: str, overrides: Sequence[str]) -> Config:
    """The configuration of a command that takes few keys.

    Raises:
        Refusal: for others, and for values that can't be.
    """
    keys = ONLY_KEYS[command]
    faults = [
        f"{text}: {command} looks at {', '.join(keys)} alone{did_you_mean(key_of(text), keys)} Leave it out."
        for text in overrides
        if key_of(text) not in keys
    ]
    if faults:
        raise Refusal(*faults)
    return configs.compose(overrides).config


def address(config: Config, command: str) -> str | None:
    """Where runs are tracked; None is mlruns/ in the current folder.

    Raises:
        Refusal: where there is nothing, or a server doesn't answer.
    """
    uri = None if config.tracking.uri is None else resolve(config.tracking.uri, "tracking.uri")
    if uri is None and not LOCAL.exists():
        raise Refusal(f"{command}: there is no {LOCAL} here; go to the folder of the runs, or give tracking.uri.")
    tracking.check(uri)
    return uri

