"""Where a model comes from: `base.json` beside its files, by which whoever goes on from it knows what it is."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tasks.source_rows import FOLDER

FILE = "base.json"


@dataclass(frozen=True)
class Ancestor:
    """A model that another one was gone on from: as the user named it, the digest of its files, by which strategy, and
    what was known of it. licence, origin: None where that isn't known."""

    base: str
    sha256: str
    strategy: str
    source: str
    licence: str | None
    origin: str | None


@dataclass(frozen=True)
class Provenance:
    """What is known of a model beside its files.

    family: the choice of `model=` that it belongs to. source: name, digest and rows of its table, and how many of them
    are kept. scores: of the holdout by metric, each with value, low, high and what a constant and a linear model get;
    unweighted: that of `metric` where its rows have weights, as if they had none.
    date: in ISO 8601. lineage: its base, that one's base, and so on. files: the sha256 of each, by its path in the
    folder.
    """

    family: str
    source: dict[str, Any]
    licence: str | None
    origin: str | None
    metric: str | None
    scores: dict[str, Any]
    versions: dict[str, str]
    date: str
    lineage: tuple[Ancestor, ...] = ()
    files: dict[str, str] = field(default_factory=dict)
    unweighted: dict[str, Any] | None = None

    @property
    def sha256(self) -> str:
        """Of the model's own files, without rows of its source."""
        own = {path: digest for path, digest in self.files.items() if not path.startswith(f"{FOLDER}/")}
        return hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()

    def as_json(self) -> str:
        return json.dumps({**asdict(self), "sha256": self.sha256}, indent=1, ensure_ascii=False)


def read(folder: Path) -> Provenance | None:
    """What `base.json` says; None where there is none.

    Raises:
        ValueError, TypeError, KeyError: for one that is none of ours.
    """
    if not (folder / FILE).exists():
        return None
    kept = json.loads((folder / FILE).read_text(encoding="utf-8"))
    kept.pop("sha256", None)
    lineage = tuple(Ancestor(**ancestor) for ancestor in kept.pop("lineage"))
    return Provenance(**kept, lineage=lineage)


def identity(folder: Path, *, with_source: bool) -> str:
    """What decides a result of a model that is gone on from: its files, and where they are trained on, the rows of its
    source; never its licence or date."""
    files = digests(folder)
    counted = {path: digest for path, digest in files.items() if with_source or not path.startswith(f"{FOLDER}/")}
    return hashlib.sha256(json.dumps(counted, sort_keys=True).encode()).hexdigest()[:16]


def digests(folder: Path) -> dict[str, str]:
    """The sha256 of every file, by its path in the folder, but of `base.json` itself."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != FILE)
    return {path.relative_to(folder).as_posix(): sha256(path) for path in paths}


def sha256(path: Path) -> str:
    """Of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
