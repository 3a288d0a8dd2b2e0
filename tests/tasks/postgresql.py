"""A PostgreSQL server of the tests' own, where the package postgresql is installed."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest


@contextmanager
def postgresql(folder: Path, password: str) -> Iterator[int]:
    """The port of a server on 127.0.0.1 whose user `me` has this password, stopped afterwards. folder: an empty one."""
    programs = _programs()
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
        for parent in folder.parents:
            if not parent.stat().st_mode & 0o001:  # pytest's folders are closed to others
                parent.chmod(0o711)
    (folder / "password").write_text(password)
    (folder / "password").chmod(0o644)
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    account = ["-U", "me", "-A", "scram-sha-256", "--pwfile", str(folder / "password")]
    _as_postgres(folder, str(programs / "initdb"), "-D", str(folder / "data"), *account, "-E", "UTF8", "--no-sync")
    (folder / "password").unlink()
    options = f"-p {port} -h 127.0.0.1 -c unix_socket_directories='' -c fsync=off"
    control = [str(programs / "pg_ctl"), "-D", str(folder / "data"), "-w"]
    _as_postgres(folder, *control, "-l", str(folder / "log"), "-o", options, "start")
    try:
        yield port
    finally:
        _as_postgres(folder, *control, "-m", "immediate", "stop")


def _programs() -> Path:
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    if not folders and on_path is None:
        pytest.skip("no PostgreSQL server here: install the package postgresql")
    return folders[-1].parent if folders else Path(str(on_path)).parent


def _as_postgres(folder: Path, *command: str) -> None:
    """Runs a program of PostgreSQL, which refuses to be root."""
    account: dict[str, Any] = {}
    if os.geteuid() == 0:
        user = pwd.getpwnam("postgres")
        account = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60, **account
    )
    assert done.returncode == 0, done.stdout + done.stderr
