"""Doctor: what is installed, reachable, writable and out of date, each with the command that mends it."""

from __future__ import annotations

import base64
import os
import shutil
import sqlite3
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Literal

from packaging.requirements import Requirement

from flows import screen
from flows.address import holder_of, home_folder, is_taken, preferred_port
from flows.commands import FAILED
from flows.databases import fault_of, schema_of
from flows.output import print_json
from flows.servers import ROOT, Server, Servers, database_of
from flows.status import Part, mlflow_part, prefect_part, worker_part
from flows.up import asked
from tasks.refusal import Refusal
from tasks.store import check_writable
from tasks.tracking import newest_schema, without_password

PYTHONS = ((3, 11), (3, 13))
ENOUGH = 2.0  # GB free on the disk of a folder; a run of a small table writes a few MB, its environment 2 GB
INSTALL = "pip install --constraint constraints.txt --editable ."
LOGINS = {
    "Prefect": "PREFECT_API_AUTH_STRING=USER:PASSWORD",
    "MLflow": "MLFLOW_TRACKING_USERNAME=USER MLFLOW_TRACKING_PASSWORD=PASSWORD",
}
EXTRAS = ("dask", "neural", "onnx", "postgresql", "ray", "savedmodel", "team", "text")


@dataclass(frozen=True)
class Finding:
    """state: ok, told (nothing is wrong, but one may want to know), wrong. mend: the command that mends it, or ''."""

    about: str
    state: Literal["ok", "told", "wrong"]
    said: str
    mend: str = ""


def command(arguments: Sequence[str], begun: float) -> int:
    found = doctor(asked(arguments, "doctor"))
    colours = {"ok": "", "told": "", "wrong": "red"}
    for one in found:
        screen.say(f"{one.state:<6}{one.about:<13}{one.said}", colours[one.state])
        if one.mend:
            screen.say(f"{'':<19}{one.mend}", "bold")
    wrong = sum(one.state == "wrong" for one in found)
    screen.say("nothing is wrong" if not wrong else f"{wrong} to mend", "bold")
    print_json({"findings": [asdict(one) for one in found]}, arguments)
    return FAILED if wrong else 0


def doctor(servers: Servers) -> list[Finding]:
    return [
        *installed(),
        *writable(servers),
        *databases(servers),
        *reachable(servers),
    ]


def installed() -> Iterator[Finding]:
    """Python, the packages that finefold requires, and which extras are whole."""
    here = sys.version_info[:2]
    known = f"{PYTHONS[0][0]}.{PYTHONS[0][1]} to {PYTHONS[1][0]}.{PYTHONS[1][1]}"
    good = PYTHONS[0] <= here <= PYTHONS[1]
    yield Finding("python", "ok" if good else "wrong", f"{here[0]}.{here[1]} (tested with {known})",
                  "" if good else "python3.13 -m venv .venv")  # fmt: skip
    try:
        required = [Requirement(text) for text in requires("finefold") or ()]
    except PackageNotFoundError:
        yield Finding("packages", "told", "finefold is not installed, but run from its folder", INSTALL)
        return
    faults = list(filter(None, map(fault_in, (one for one in required if is_meant(one, "")))))
    said = "; ".join(faults) or f"all that finefold {version('finefold')} requires"
    yield Finding("packages", "wrong" if faults else "ok", said, INSTALL if faults else "")
    whole = [extra for extra in EXTRAS if not any(map(fault_in, (one for one in required if is_meant(one, extra))))]
    missing = [extra for extra in EXTRAS if extra not in whole]
    mend = f'pip install --constraint constraints.txt --editable ".[{",".join(missing)}]"' if missing else ""
    yield Finding("extras", "told" if missing else "ok", ", ".join(whole) or "none", mend)


def is_meant(requirement: Requirement, extra: str) -> bool:
    """Whether it is required here: by finefold itself ('') or by one of its extras."""
    marker = requirement.marker
    is_own = marker is None or marker.evaluate({"extra": ""})
    return is_own if not extra else bool(marker and marker.evaluate({"extra": extra}) and not is_own)


def fault_in(requirement: Requirement) -> str:
    """'' or what is wrong with the installed package."""
    try:
        found = version(requirement.name)
    except PackageNotFoundError:
        return f"{requirement.name} is missing"
    fits = requirement.specifier.contains(found, prereleases=True)
    return "" if fits else f"{requirement.name} is {found}, needed is {requirement.specifier}"


def writable(servers: Servers) -> Iterator[Finding]:
    """The folders that runs and servers write into, and the room on their disks."""
    for folder in dict.fromkeys((Path("data"), ROOT, Path(servers.folder), home_folder())):
        there = _that_exists(folder)
        free = shutil.disk_usage(there).free / 1e9
        if free < ENOUGH:
            said = f"{folder}/ has {free:.1f} GB left on its disk"
            yield Finding("writable", "wrong", said, "finefold clean clean.do=true")
            continue
        try:
            check_writable(folder if folder.parent.exists() else there)
        except Refusal as refusal:
            yield Finding("writable", "wrong", str(refusal), f"sudo chown -R $USER {folder}")
            continue
        yield Finding("writable", "ok", f"{folder}/, {free:.0f} GB free")


def _that_exists(folder: Path) -> Path:
    return next(one for one in (folder.resolve(), *folder.resolve().parents) if one.exists())


def databases(servers: Servers) -> Iterator[Finding]:
    """Whether the databases of both servers can be used, and whether MLflow's tables are those of this version."""
    given: tuple[tuple[Server, str | None], ...] = (
        ("prefect", servers.prefect.database), ("mlflow", servers.mlflow.database),
    )  # fmt: skip
    for server, url in given:
        if url is None:
            continue
        key, used = f"servers.{server}.database", str(database_of(server, url))
        fault = fault_of(used, key)
        yield Finding("database", "wrong" if fault else "ok", fault or f"{key} answers")
        if not fault and server == "mlflow":
            yield _as_needed(schema_of(used), key, f"mlflow db upgrade {without_password(used)}")
    for given_url, path in (
        (servers.prefect.database, home_folder() / "prefect.db"),
        (servers.mlflow.database, Path(servers.folder) / "mlflow.db"),
    ):
        if given_url is None and path.exists():
            yield _file(path)


def _file(path: Path) -> Finding:
    """Of SQLite; both servers note in it by which version its tables were made."""
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=0.5)) as connection:
            (found,) = connection.execute("select version_num from alembic_version").fetchone()
    except (sqlite3.Error, TypeError) as error:
        mend = f"fuser --verbose {path}" if "locked" in str(error) else f"mv {path} {path}.broken"
        return Finding("database", "wrong", f"{path} can't be read: {error}", mend)
    if path.name == "prefect.db":  # whose server brings its tables up to date itself
        return Finding("database", "ok", f"{path} can be read")
    return _as_needed(found, str(path), f"cp {path} {path}.before && mlflow db upgrade sqlite:///{path}")


def _as_needed(found: str | None, where: str, mend: str) -> Finding:
    """found: the revision of MLflow's tables; None where there are none yet."""
    if found in (None, newest_schema()):
        return Finding("database", "ok", f"{where} is as MLflow {version('mlflow')} needs it")
    return Finding("database", "wrong", f"{where} was made by another version of MLflow than {version('mlflow')}", mend)


def reachable(servers: Servers) -> Iterator[Finding]:
    """The servers and the worker, and whether the ports of those that are down are free."""
    prefect, mlflow = prefect_part(), mlflow_part(servers)
    worker = worker_part(servers, prefect)
    for part in (prefect, mlflow, worker):
        is_expected = "given by" in part.said
        state: Literal["ok", "told", "wrong"] = "ok" if part.is_up else "wrong" if is_expected else "told"
        said = f"{part.address} {part.said}" if part.is_up else f"{part.name} is down: {part.address} {part.said}"
        yield Finding("reachable", state, said, "" if part.is_up or is_expected else "finefold up")
    for part, path in ((prefect, "/api/admin/version"), (mlflow, "/version")):
        if part.is_up:
            yield version_there(part, path)
    for name, port, is_up in (("prefect", servers.prefect.port or preferred_port(), prefect.is_up),
                              ("mlflow", servers.mlflow.port, mlflow.is_up)):  # fmt: skip
        if not is_up and is_taken(port):
            yield Finding("ports", "wrong", f"servers.{name}.port={port} is taken by {holder_of(port)}",
                          f"finefold up servers.{name}.port={port + 1}")  # fmt: skip


def version_there(part: Part, path: str) -> Finding:
    """Whether a server lets this user in, and is of the version that is installed here."""
    name, variables = part.name.lower(), LOGINS[part.name]
    here = version(name)
    try:
        there = _asked(f"{part.address}{path}", name).strip().strip('"')
    except urllib.error.HTTPError as error:
        said = f"{part.name} at {part.address} answers {error.code}"
        return Finding("reachable", "wrong", said, f"export {variables}" if error.code in (401, 403) else "")
    except (OSError, ValueError) as error:
        return Finding("reachable", "wrong", f"{part.name} at {part.address}: {error}", "finefold status")
    if there.split(".")[:2] == here.split(".")[:2]:
        return Finding("version", "ok", f"{part.name} {there} there, {here} here")
    mend = f"pip install {name}=={there}" if _numbers(there) > _numbers(here) else "finefold down; finefold up"
    return Finding("version", "wrong", f"{part.name} is {there} at {part.address}, {here} here", mend)


def _asked(url: str, name: str) -> str:
    """What a server says to a user who shows the password of the environment."""
    request = urllib.request.Request(url)
    user, password = (os.environ.get(f"MLFLOW_TRACKING_{what}", "") for what in ("USERNAME", "PASSWORD"))
    login = os.environ.get("PREFECT_API_AUTH_STRING") if name == "prefect" else f"{user}:{password}" if user else None
    if login:
        request.add_header("Authorization", f"Basic {base64.b64encode(login.encode()).decode()}")
    is_local = url.startswith(("http://127.0.0.1", "http://localhost"))
    opener = urllib.request.build_opener(*([urllib.request.ProxyHandler({})] if is_local else []))
    with opener.open(request, timeout=5) as answer:
        return str(answer.read(100).decode())


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(".") if part.isdecimal()]
