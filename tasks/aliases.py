"""Aliases: which version of a registered model is its champion, its challenger and its previous champion, and how that
is changed by one process at a time, so that a kill leaves nothing that can't be mended.

A move is written down in a tag of the registered model before it begins, and that tag is deleted when it is done:
whoever comes next finds an interrupted one there, and takes it back or ends it. MLflow has no way to set an alias on
condition of what it was, so a move is made alone: with a local store by a lock of the operating system, which a kill
lets go; with a server by registering a model of another name, which only one process at a time can. Somebody who moves
an alias by hand heeds neither, so what is there is read before a move and after it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from tasks.refusal import Refusal

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous_champion"
MOVE_TAG = "finefold.move"  # of the registered model, while a move goes on
REPLACED_TAG, ROLLED_BACK_TAG = "finefold.replaced", "finefold.rolled_back"  # of a version
OWNER_TAG = "finefold.owner"  # of a lock: host, process and a mark of this one taking
LOCAL = "sqlite:///"
PATIENCE_SECONDS = 120.0  # for another process to end its move
# A move takes five to eight requests, far below a second; MLflow repeats a request that fails for some 15 s.
STALE_SECONDS = 40.0
POLL_SECONDS = 0.1
MOST_LETTERS = 5_000  # of a version's description in MLflow's tables; SQLite takes more, others refuse
AND_MORE = "\n\nAll of it is in promotion.json of the version's run."


class MovedError(Exception):
    """The champion is not the one that was decided on: another process, or a person, was quicker."""


@dataclass(frozen=True)
class Standing:
    """The versions that have an alias, or None."""

    champion: int | None
    challenger: int | None
    previous: int | None


@dataclass(frozen=True)
class Move:
    """The champion's alias from one version to another; `before` and `after`: the previous champion."""

    kind: str
    source: int | None
    target: int
    before: int | None
    after: int | None


@dataclass(frozen=True)
class RolledBack:
    """The version that is the champion now, the one that was, and what was said of an interrupted move."""

    champion: int
    undone: int | None
    mended: str


def standing(client: MlflowClient, name: str) -> Standing:
    known = client.get_registered_model(name).aliases
    return Standing(*(int(known[alias]) if alias in known else None for alias in (CHAMPION, CHALLENGER, PREVIOUS)))


def settled(client: MlflowClient, uri: str, name: str) -> tuple[Standing, str]:
    """The versions that have an alias, after an interrupted move was mended, and what was to be said of that."""
    with alone(client, uri, name):
        said = mended(client, name)
        return standing(client, name), said


def challenge(client: MlflowClient, uri: str, name: str, number: int) -> None:
    """Makes a version the challenger, unless it is the champion or a newer one is: a run that goes on may have been
    overtaken.

    Raises:
        Refusal: when another process holds the lock for too long.
    """
    with alone(client, uri, name):
        now = standing(client, name)
        if now.champion != number and (now.challenger or 0) <= number:
            client.set_registered_model_alias(name, CHALLENGER, str(number))


def promote(client: MlflowClient, uri: str, name: str, number: int, expected: int | None) -> None:
    """Makes a version the champion, and the champion until now, which must be the `expected` one, the previous one.

    Raises:
        MovedError: when the champion is another one, before the move or after it.
        Refusal: when another process holds the lock for too long.
    """
    with alone(client, uri, name):
        mended(client, name)
        now = standing(client, name)
        if now.champion != expected:
            raise MovedError
        _make(client, name, Move("promotion", expected, number, now.previous, expected))
        if now.challenger == number:
            client.delete_registered_model_alias(name, CHALLENGER)
        if expected is not None:
            client.set_model_version_tag(name, str(number), REPLACED_TAG, str(expected))


def roll_back(client: MlflowClient, uri: str, name: str) -> RolledBack:
    """Undoes the last promotion: the previous champion is the champion again, and there is no previous one any more, so
    that the same command given twice goes no further back.

    A promotion that was interrupted before its champion was set is undone by that alone.

    Raises:
        MovedError: when the champion was moved meanwhile.
        Refusal: when there is nothing to go back to.
    """
    with alone(client, uri, name):
        interrupted = _interrupted(client, name)
        said = mended(client, name)
        now = standing(client, name)
        if interrupted is not None and now.champion is not None and _is_undone(interrupted, now.champion):
            return RolledBack(now.champion, None, said)
        if now.previous is None or now.champion is None:
            raise Refusal(_nothing(client, name, now))
        # Before the move: however it is interrupted, its own run, resumed, must not promote this version again.
        client.set_model_version_tag(name, str(now.champion), ROLLED_BACK_TAG, str(now.previous))
        _make(client, name, Move("rollback", now.champion, now.previous, now.previous, None))
        return RolledBack(now.previous, now.champion, said)


def _is_undone(move: Move, champion: int) -> bool:
    """Whether by mending the move what a rollback is for has been done."""
    return champion == (move.source if move.kind == "promotion" else move.target)


def _nothing(client: MlflowClient, name: str, now: Standing) -> str:
    if now.champion is None:
        return f"model_name={name} has no champion, so there is nothing to undo."
    undone = [int(one.version) for one in client.search_model_versions(f"name='{name}'")
              if one.tags.get(ROLLED_BACK_TAG) == str(now.champion)]  # fmt: skip
    again = f" (version {max(undone)} was rolled back already)" if undone else ""
    return (
        f"model_name={name}: version {now.champion} is the champion and there is no previous_champion to go back "
        f"to{again}; another version is named in MLflow, by its alias champion."
    )


def mended(client: MlflowClient, name: str) -> str:
    """Ends or takes back a move that was interrupted, and says so; '' where there was none. Called alone."""
    move = _interrupted(client, name)
    if move is None:
        return ""
    champion = standing(client, name).champion
    if champion == move.target:
        _set(client, name, PREVIOUS, move.after)
        said = f"an interrupted {move.kind} to version {move.target} was ended"
    elif champion == move.source:
        _set(client, name, PREVIOUS, move.before)
        said = f"an interrupted {move.kind} to version {move.target} was taken back: version {champion} is the champion"
    else:  # somebody has moved it since, and knows better
        said = f"an interrupted {move.kind} to version {move.target} is forgotten: the champion was moved since"
    client.delete_registered_model_tag(name, MOVE_TAG)
    return said


def _interrupted(client: MlflowClient, name: str) -> Move | None:
    text = client.get_registered_model(name).tags.get(MOVE_TAG)
    return Move(**json.loads(text)) if text else None


def _make(client: MlflowClient, name: str, move: Move) -> None:
    client.set_registered_model_tag(name, MOVE_TAG, json.dumps(asdict(move)))
    _set(client, name, PREVIOUS, move.after)
    client.set_registered_model_alias(name, CHAMPION, str(move.target))
    now = standing(client, name)
    client.delete_registered_model_tag(name, MOVE_TAG)
    if (now.champion, now.previous) != (move.target, move.after):
        raise MovedError


def _set(client: MlflowClient, name: str, alias: str, number: int | None) -> None:
    if number is not None:
        client.set_registered_model_alias(name, alias, str(number))
    elif alias in client.get_registered_model(name).aliases:
        client.delete_registered_model_alias(name, alias)


@contextmanager
def alone(client: MlflowClient, uri: str, name: str) -> Iterator[None]:
    """One process at a time moves aliases of the name.

    Raises:
        Refusal: when another one doesn't end its move.
    """
    holding = _locked_here(uri, name) if uri.startswith(LOCAL) else _locked_there(client, name)
    with holding:
        yield


@contextmanager
def _locked_here(uri: str, name: str) -> Iterator[None]:
    folder = Path(uri.removeprefix(LOCAL)).parent / ".promotions"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / hashlib.sha256(name.encode()).hexdigest()[:16]).open("a") as lock:
        waited = _Waiting(name, str(folder))
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                waited.on()
        yield


@contextmanager
def _locked_there(client: MlflowClient, name: str) -> Iterator[None]:
    """A registered model's name is unique on a server, so who registers the lock holds it. One that a kill left behind
    is removed: at once where its process was on this machine, else when it is `STALE_SECONDS` old."""
    lock, waited, known, since = f"{name} (its alias is being moved)", _Waiting(name, "the registry"), 0, 0.0
    us = f"{socket.gethostname()} {os.getpid()} {secrets.token_hex(4)}"
    while not (own := _registered(client, lock, us)):
        other, owner = _held(client, lock)
        if owner == us:  # the server did it and was not heard, and MLflow asked again
            own = other
            break
        if other != known:
            known, since = other, time.monotonic()
        if other and (_is_dead(owner) or time.monotonic() - since > STALE_SECONDS):
            _remove(client, lock, other)
        waited.on()
    try:
        yield
    finally:
        _remove(client, lock, own)


def _registered(client: MlflowClient, lock: str, owner: str) -> int:
    """When the lock was registered by us, in milliseconds of the server's clock; 0 where another process holds it."""
    from mlflow.exceptions import MlflowException

    about = "finefold holds this for the moment in which it moves an alias. Where no run goes on, delete it."
    try:
        return int(client.create_registered_model(lock, {OWNER_TAG: owner}, about).creation_timestamp)
    except MlflowException as error:
        # The latter where the lock was let go between the server's own look and its second one.
        if error.error_code not in ("RESOURCE_ALREADY_EXISTS", "RESOURCE_DOES_NOT_EXIST"):
            raise
        return 0


def _held(client: MlflowClient, lock: str) -> tuple[int, str]:
    """Since when, and by whom; (0, '') where nobody holds it. A server reads the name before its tags, so '' is the
    owner of a lock that is let go between the two."""
    from mlflow.exceptions import MlflowException

    try:
        found = client.get_registered_model(lock)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return 0, ""
    return int(found.creation_timestamp), str(found.tags.get(OWNER_TAG, ""))


def _is_dead(owner: str) -> bool:
    """Whether its process was on this machine and is no more; never of '', which is read while a lock is let go."""
    here, _, process = owner.partition(" ")
    return here == socket.gethostname() and not psutil.pid_exists(int(process.partition(" ")[0]))


def _remove(client: MlflowClient, lock: str, created: int) -> None:
    from mlflow.exceptions import MlflowException

    if _held(client, lock)[0] == created:
        with suppress(MlflowException):  # another process found it stale in the same moment
            client.delete_registered_model(lock)


class _Waiting:
    """A wait that ends in a refusal."""

    def __init__(self, name: str, where: str) -> None:
        self._fault = (
            f"model_name={name}: another process has been moving its aliases for {PATIENCE_SECONDS:.0f} s ({where}); "
            "wait for it, or end it, and the same command goes on."
        )
        self._until = time.monotonic() + PATIENCE_SECONDS

    def on(self) -> None:
        if time.monotonic() > self._until:
            raise Refusal(self._fault)
        time.sleep(POLL_SECONDS)


def describe(client: MlflowClient, name: str, number: int, tags: Mapping[str, str], text: str) -> None:
    """Tags of a version, and its description in Markdown, of which a database may hold `MOST_LETTERS` alone."""
    for key, value in tags.items():
        client.set_model_version_tag(name, str(number), key, value)
    if len(text) > MOST_LETTERS:
        text = f"{text[: MOST_LETTERS - len(AND_MORE)].rpartition(chr(10))[0]}{AND_MORE}"
    client.update_model_version(name, str(number), description=text)


def version_tags(client: MlflowClient, name: str, number: int) -> dict[str, Any]:
    return dict(client.get_model_version(name, str(number)).tags)
