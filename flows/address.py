"""Where Prefect's API is: the address that the user gave, whether one answers there, and how this process is pointed at
it. Nothing heavy is imported, so that a command can start the server first."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import tomllib
from pathlib import Path
from typing import Any

from tasks.refusal import Refusal

LOGIN = "wants a login: export PREFECT_API_AUTH_STRING=USER:PASSWORD"


def wants_login(error: Exception) -> bool:
    """Whether Prefect's server refused a request for who made it."""
    return getattr(getattr(error, "response", None), "status_code", None) in (401, 403)


def is_healthy(api_url: str, seconds: float = 5) -> bool:
    """Whether a Prefect API answers there; one that wants to know who asks is healthy too."""
    import http.client
    import urllib.error

    try:
        return _read(api_url, "health", seconds).strip() == b"true"
    except urllib.error.HTTPError as error:
        with error:
            return error.code in (401, 403)
    except (OSError, ValueError, http.client.HTTPException):
        return False


def home_of(api_url: str) -> Path | None:
    """The PREFECT_HOME of the server there, where it tells it."""
    import http.client

    try:
        return Path(json.loads(_read(api_url, "admin/settings", 5))["home"])
    except (OSError, ValueError, KeyError, TypeError, http.client.HTTPException):
        return None


def _read(api_url: str, what: str, seconds: float) -> bytes:
    import urllib.request

    address, authority = without_password(api_url)
    is_local = authority.rpartition(":")[0] in ("127.0.0.1", "localhost")  # a proxy can't know these
    proxies = [urllib.request.ProxyHandler({})] if is_local else []
    with urllib.request.build_opener(*proxies).open(f"{address}/{what}", timeout=seconds) as answer:
        return bytes(answer.read(1 << 20))


def preferred_port() -> int:
    text = os.environ.get("PREFECT_SERVER_API_PORT") or "4200"
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise Refusal(f"PREFECT_SERVER_API_PORT must be a port from 1 to 65535, got {text!r}.")
    return int(text)


def free_port(preferred: int) -> int:
    """The preferred port of 127.0.0.1 where nothing listens, else one that is free."""
    for port in (preferred, 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise Refusal("no port is free on 127.0.0.1 for Prefect's server; close something, or set PREFECT_API_URL.")


def given_url() -> str | None:
    """PREFECT_API_URL where Prefect looks for it, in its order; reading it through Prefect would take a second."""
    if url := os.environ.get("PREFECT_API_URL"):
        return url
    if Path(".env").is_file():
        import dotenv

        if url := dotenv.dotenv_values(".env").get("PREFECT_API_URL"):
            return url
    tables = (_toml(Path("prefect.toml")), _toml(Path("pyproject.toml")).get("tool", {}).get("prefect", {}))
    for table in tables:
        if url := table.get("api", {}).get("url"):
            return str(url)
    profiles = _toml(Path(os.environ.get("PREFECT_PROFILES_PATH") or home_folder() / "profiles.toml"))
    active = os.environ.get("PREFECT_PROFILE") or profiles.get("active")
    return profiles.get("profiles", {}).get(active, {}).get("PREFECT_API_URL") or None


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except (OSError, ValueError):  # Prefect itself says what is wrong with it
        return {}


def home_folder() -> Path:
    return Path(os.environ.get("PREFECT_HOME") or "~/.prefect").expanduser()


def without_password(url: str) -> tuple[str, str]:
    """The address without `user:password@`, and its host and port."""
    scheme, slashes, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    authority = authority.rpartition("@")[2]
    return f"{scheme}{slashes}{authority}{slash}{path}", authority


def point_prefect_at(api_url: str | None) -> None:
    """Make this process's Prefect use that API, whether it is imported later or has been already (a notebook)."""
    if api_url is None:
        os.environ.pop("PREFECT_API_URL", None)
    else:
        os.environ["PREFECT_API_URL"] = api_url
    if "prefect.context" in sys.modules:
        from prefect.context import refresh_global_settings_context

        refresh_global_settings_context()


def bypass_proxy() -> None:
    """Keep Prefect's client from asking a proxy for 127.0.0.1, which it does where NO_PROXY does not name that."""
    exempt = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    if "127.0.0.1" not in exempt and exempt != "*":
        os.environ |= dict.fromkeys(("no_proxy", "NO_PROXY"), f"{exempt},127.0.0.1".lstrip(","))


def is_taken(port: int) -> bool:
    """Whether something listens at that port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def holder_of(port: int) -> str:
    """`python3 (process 4711)`, as far as the system tells who listens there; else 'something'."""
    import psutil

    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections("tcp"):
            is_listening = connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
            if is_listening and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (process {connection.pid})"
    return "something"
