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
NOWHERE = f"there is no {LOCAL} here; go to the folder of the runs, or give tracking.uri."


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
    """Where runs are tracked; None: wherever `tracking.address` finds that it is.

    command: what the refusal begins with.

    Raises:
        Refusal: where there is nothing, or a server doesn't answer.
    """
    uri = uri_of(config)
    if not is_somewhere(uri):
        raise Refusal(f"{command}: {NOWHERE}")
    tracking.check(uri)
    return uri


def uri_of(config: Config) -> str | None:
    """What the user gave, with the environment's variables in it."""
    return None if config.tracking.uri is None else resolve(config.tracking.uri, "tracking.uri")


def is_somewhere(uri: str | None) -> bool:
    """Whether there are runs to look at: an address is given or found, or a database is in the current folder."""
    return tracking.address(uri) is not None or LOCAL.exists()

