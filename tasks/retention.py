"""Retention: what lies in data/, when it was used last, whether a process works on it, and what may go."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from tasks.leftovers import Made
from tasks.store import locked, remove_folder

# Studies, comparisons and replays have a lock; what is beside them is named by its content and used by several.
NUMBERED = ("studies", "replays")
LOCKED = (*NUMBERED, "comparisons", "reproduced", "scores")
BATCHES = "monitor"  # a folder for each batch that was scored, in those of a version and of a name
SHARED = ("prepared", "splits", "bases", "computed", "frames")


@dataclass(frozen=True)
class Folder:
    """A folder of data/. kind: as it is called there. used: Unix time in seconds. kept: why it stays, else ''."""

    path: Path
    kind: str
    used: float
    megabytes: float
    kept: str = ""


def folders(data: Path) -> Iterator[Folder]:
    """All of data/ but downloads: studies, and what they were made of, which can be made anew; scorings that were
    interrupted; and what is kept of scored batches for the monitor."""
    for kind in (*LOCKED, *SHARED, BATCHES):
        pattern = "*/*" if kind in NUMBERED else "*/*/*" if kind == BATCHES else "*"
        for path in sorted((data / kind).glob(pattern)):
            if path.is_dir() and not path.name.startswith("."):
                yield _folder(path, kind)


def _folder(path: Path, kind: str) -> Folder:
    files = []
    for folder, _, names in os.walk(path):  # which bears that a search that runs removes what it needs no more
        for name in names:
            with suppress(FileNotFoundError):
                files.append(os.stat(f"{folder}/{name}"))
    used = max((one.st_mtime for one in files), default=path.stat().st_mtime)
    return Folder(path, kind, used, sum(one.st_size for one in files) / 1e6)


def judged(
    found: Iterable[Folder], runs: Iterable[Made], needed: Iterable[str], *, last: int, before: float
) -> list[Folder]:
    """Each folder with why it stays, if it does.

    runs: the newest first. needed: the runs whose models have an alias, or are the base of one that has. last: the
    newest runs, of which nothing goes. before: Unix time in seconds, since when nothing goes that was used.
    """
    runs, needed = list(runs), set(needed)
    why = {run.run_id: f"one of the last {last} runs" for run in runs[:last]}
    why |= {run.run_id: "a run that can go on" for run in runs if not run.is_over}
    why |= dict.fromkeys(needed, "a model with an alias, or the base of one")
    kept: dict[str, str] = {}
    used: dict[str, float] = {}
    for run in runs:
        for name in _names(run):
            used[name] = max(used.get(name, 0.0), run.ended)
            if run.run_id in why:
                kept[name] = why[run.run_id]
    bases = any("base=" in run.overrides and not run.is_over for run in runs)
    found = [replace(one, used=max(one.used, used.get(_name(one), 0.0))) for one in found]
    is_busy = any(_is_locked(one.path) for one in found if one.kind in LOCKED)
    return [replace(one, kept=_why(one, kept, is_busy=is_busy, bases=bases, before=before)) for one in found]


def _names(run: Made) -> Iterator[str]:
    """What the run used, as `_name` calls it."""
    digest, _, number = run.study.rpartition("-")
    yield f"studies/{digest}/{number}"
    yield f"prepared/{run.data}"
    yield f"splits/{run.split}"
    if "frames/" in run.overrides:
        yield f"frames/{run.overrides.partition('frames/')[2].partition('/')[0]}"


def _name(one: Folder) -> str:
    depth = 3 if one.kind in NUMBERED else 2
    return "/".join(one.path.parts[-depth:])


def _why(one: Folder, kept: dict[str, str], *, is_busy: bool, bases: bool, before: float) -> str:
    if one.kind in LOCKED and _is_locked(one.path):
        return "a process works on it"
    if one.kind in SHARED and is_busy:
        return "a run is going on, which may use it"
    if one.kind == "bases" and bases:
        return "a run that can go on"
    return kept.get(_name(one), "") or ("used lately" if one.used >= before else "")


def _is_locked(folder: Path) -> bool:
    lock = folder / "lock"
    if not lock.exists():
        return False
    with lock.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def remove(one: Folder) -> None:
    """The folder, and the one that held it where nothing is left in that.

    Raises:
        Refusal: where a process has begun to work on it meanwhile.
    """
    if one.kind in LOCKED:
        with locked(one.path, f"{one.path}: a process works on it by now; it stays."):
            remove_folder(one.path)
    else:
        remove_folder(one.path)
    if one.kind in NUMBERED and not any(one.path.parent.iterdir()):
        shutil.rmtree(one.path.parent, ignore_errors=True)
