"""The MLflow server that `finefold up` started for the runs of a folder: found by its record."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

RECORD = "finefold-mlflow.json"  # in mlruns/


@dataclass(frozen=True)
class Served:
    """url: where its pages are. store: where it keeps runs, as `own_store` writes it, without password."""

    url: str
    store: str


def served(root: Path) -> Served | None:
    """The server that answers for the runs begun beside this folder `mlruns/`, if there is one."""
    try:
        record = json.loads((root / RECORD).read_text())
        found = Served(record["url"], record["store"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if answers(found.url) else None


def own_store(root: Path) -> str:
    """The database and artifacts of runs that no server was asked for: those under this folder."""
    return f"sqlite:///{(root / 'mlflow.db').resolve()} {(root / 'artifacts').resolve()}"


def answers(url: str, seconds: float = 2) -> bool:
    """Whether an MLflow server on this machine answers there; a proxy can't know it. One that wants to know who asks
    answers too."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{url}/health", timeout=seconds) as answer:
            return bool(answer.read(10).strip() == b"OK")
    except urllib.error.HTTPError as error:
        with error:
            return error.code in (401, 403)
    except (OSError, ValueError, http.client.HTTPException):
        return False
