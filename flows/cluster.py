"""Clusters that run already: whether one answers at an address, and how many workers it has."""

from __future__ import annotations

import functools
import logging
import os
import re
import socket
import tempfile
from pathlib import Path
from typing import Any

from tasks.refusal import Refusal

ANSWER_SECONDS = 3
QUIET_RAY: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}

def check_count_is_auto(workers: int | str) -> None:
    if workers != "auto":
        raise Refusal(f"runner.workers={workers}: the cluster at runner.address has the workers it has; leave it out.")


def _check_answers(address: str, schemes: tuple[str, ...], remedy: str) -> None:
    """Dask's and Ray's servers both speak first, so that a stranger's port is known by its silence; their own clients
    wait up to minutes for either."""
    match = re.fullmatch(rf"(?:({'|'.join(schemes)})://)?([\w.-]+|\[[0-9a-fA-F:]+\]):(\d{{1,5}})", address)
    if match is None:
        raise Refusal(f"runner.address={address} is no address; write {schemes[0]}://HOST:PORT.")
    try:
        with socket.create_connection((match[2].strip("[]"), int(match[3])), ANSWER_SECONDS) as connection:
            connection.settimeout(ANSWER_SECONDS)
            reason = "" if match[1] == "tls" or connection.recv(1) else "it hung up"
    except (OSError, OverflowError) as error:
        reason = str(error)
    if reason:
        raise Refusal(f"runner.address={address} does not answer ({reason}); {remedy}.")


def look_at_dask(address: str) -> int:
    """The number of threads of the workers at an address, all of which see the current folder."""
    from distributed import Client

    _check_answers(address, ("tcp", "tls"), "start one by `dask scheduler`, or leave it out for a local cluster")
    try:
        client = Client(address, timeout=ANSWER_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        raise Refusal(f"runner.address={address} can't be used: {error}") from error
    with client, tempfile.NamedTemporaryFile(prefix=".finefold-", dir=Path.cwd()) as marker:
        n_threads = int(sum(client.nthreads().values()))
        if not n_threads:
            raise Refusal(f"runner.address={address} has no worker; start some by `dask worker {address}`.")
        blind = [worker for worker, sees in client.run(os.path.exists, marker.name).items() if not sees]
        if blind:
            raise Refusal(
                f"runner.address={address}: its worker {blind[0]} does not see {Path.cwd()}; run in a folder that all "
                "workers share, by the same path."
            )
    return n_threads


@functools.cache    # connecting takes a second
def look_at_ray(address: str) -> int:
    """The number of cores of the cluster at an address."""
    import ray as library

    _check_answers(address, ("ray",), "start one by `ray start --head`, or leave it out for a local Ray")
    try:
        library.init(address, **QUIET_RAY)
        return int(library.cluster_resources()["CPU"])
    except (ConnectionError, RuntimeError) as error:
        hint = "If it wants a token, export RAY_AUTH_MODE=token."
        raise Refusal(f"runner.address={address} can't be used: {error}. {hint}") from error
    finally:
        library.shutdown()
