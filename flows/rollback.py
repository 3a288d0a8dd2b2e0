"""Rollback: the previous champion of a name is the champion again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from flows import config as configs
from flows import screen
from flows.commands import ONLY_KEYS
from flows.output import print_json
from flows.overrides import key_of
from flows.tracked import address
from tasks import aliases, registry, tracking
from tasks.aliases import MovedError
from tasks.refusal import Refusal

KEYS = ONLY_KEYS["rollback"]


@dataclass(frozen=True)
class RolledBack:
    """champion: the version that is the champion now. undone: the one that was; None where an interrupted move was
    mended and nothing more was to be done. said: the same in words. The keys are public."""

    model_name: str
    champion: int
    undone: int | None
    said: str


def command(arguments: Sequence[str], begun: float) -> int:
    print_json(asdict(rollback(arguments)), arguments)
    return 0


def rollback(overrides: Sequence[str]) -> RolledBack:
    """Undoes the last promotion of a name.

    overrides: `["model_name=NAME"]`, and `tracking.uri` where that isn't `mlruns/` in the current folder.

    There is no previous champion afterwards, so that the same command given twice goes no further back. It needs no
    Prefect server, and no data.

    Raises:
        Refusal: where there is nothing to go back to, no such model, or the registry doesn't answer.
    """
    name, uri = _asked(overrides)
    with tracking.refusing(uri):
        client, used = tracking.connect(uri)
        registry.check_registered(client, name)
        try:
            done = aliases.roll_back(client, used, name)
        except MovedError:
            raise Refusal(
                f"model_name={name}: somebody moved the champion meanwhile; look at its versions before you undo that."
            ) from None
    parts = [done.mended, "" if done.undone is None else f"version {done.undone} of {name} is its champion no longer"]
    said = "; ".join(filter(None, [*parts, f"version {done.champion} of {name} is the champion"]))
    screen.say(said, "bold")
    return RolledBack(name, done.champion, done.undone, said)


def _asked(overrides: Sequence[str]) -> tuple[str, str | None]:
    """The name and the registry's address.

    Raises:
        Refusal: for keys that it has no use for, without a name, and where no registry is to be found.
    """
    config = configs.compose(overrides).config
    faults = [
        f"{text}: rollback looks at {', '.join(KEYS)} alone; leave it out."
        for text in overrides
        if key_of(text) not in KEYS
    ]
    if config.model_name is None:
        faults.append("rollback needs the name that models are registered under: model_name=NAME.")
    if faults or config.model_name is None:
        raise Refusal(*faults)
    registry.check_name(config.model_name)
    return config.model_name, address(config, f"model_name={config.model_name}")
