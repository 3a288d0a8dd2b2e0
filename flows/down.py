"""Down: stops what `finefold up` started in this folder, from anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from flows import screen, server
from flows.address import home_folder
from flows.commands import FAILED
from flows.output import print_json
from flows.process import recorded
from flows.servers import forget, running
from flows.up import STOPPABLE, asked, stop_here

PATIENCE = 60.0  # seconds for `up` to stop everything itself


@dataclass(frozen=True)
class Down:
    """stopped: the programs that were stopped. left: what runs on, in words. The keys are public."""

    stopped: tuple[str, ...]
    left: str


def command(arguments: Sequence[str], begun: float) -> int:
    asked(arguments, "down")
    done = down()
    screen.say(f"stopped: {', '.join(done.stopped)}" if done.stopped else "nothing was up")
    if done.left:
        screen.say(done.left, "yellow")
    print_json(asdict(done), arguments)
    return FAILED if done.left else 0


def down() -> Down:
    """Stops them: the worker, MLflow's server, then Prefect's unless another finefold process uses it."""
    up, prefect = running("up"), recorded(home_folder())
    stopped: list[str] = [program for program in STOPPABLE if running(program)]
    if up:
        up.stop(PATIENCE)
    stop_here()
    forget("up")
    if prefect and server.stop_unused():
        stopped.append("prefect")
    left = prefect is not None and prefect.is_alive()
    why = f"a run uses Prefect's server at {prefect.url}, and will stop it at its end" if prefect and left else ""
    return Down(tuple(stopped), why)
