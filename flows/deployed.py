"""A flow as a deployment runs it: what a shell would say stands in the run's log and state, and one that crashed goes
on, but neither for ever nor a second time beside itself."""

from __future__ import annotations

import inspect
import io
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext
from prefect.exceptions import FailedRun
from prefect.logging import get_run_logger
from prefect.runtime import flow_run
from prefect.states import Completed, Failed
from pydantic import Field

from flows.alone import alone
from tasks.refusal import Refusal

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun, State

T = TypeVar("T")

CRASHES = 3  # in a row, after which a run is left as it is: one that always crashes, for want of memory, would for ever
GOES_ON = "goes on where it crashed"  # of the state into which the automation puts a run that crashed

ModelName = Annotated[str | None, Field(min_length=1)]
Trials = Annotated[int | None, Field(ge=1)]
Seconds = Annotated[float | None, Field(gt=0)]
FIELDS = {"model_name": "model_name", "search.trials": "trials", "search.seconds": "seconds"}  # by their keys

FORM = "\n\nArgs:\n"
HELP = {  # in Prefect's form, which reads it in the docstring
    "overrides": "what one would type in a shell after the command, one in each item, as in search=random; they count "
    "more than the fields below",
    "model_name": "the name to register under; trainings of one name never overlap",
    "trials": "search.trials: more finds better hyperparameters, in proportion dearer",
    "seconds": "search.seconds: the most that the search and the final fit together may take",
}


def training(body: Callable[[list[str]], T]) -> Callable[..., T]:
    """The function as a flow that trains: with fields for a form, and alone among the trainings of its model.

    Its type is the body's, though of a deployment's run that is refused it gives a failed state.
    """

    def flow(
        overrides: list[str], model_name: ModelName = None, trials: Trials = None, seconds: Seconds = None
    ) -> Any:
        fields = {"model_name": model_name, "search.trials": trials, "search.seconds": seconds}
        given = _with_fields(overrides, fields)
        run = _flow_run()
        if run is None or run.parent_task_run_id is not None:  # a part of a run that is alone already
            return body(given)

        def held() -> T:
            with alone(given, run.id, is_asked=run.deployment_id is not None):
                return body(given)

        return as_deployed(held)

    return _named(flow, body)


def in_a_deployment(body: Callable[[list[str]], T]) -> Callable[[list[str]], T]:
    """The function as a flow that trains nothing, with one field for a form."""

    def flow(overrides: list[str], model_name: ModelName = None) -> Any:
        return as_deployed(lambda: body(_with_fields(overrides, {"model_name": model_name})))

    return _named(flow, body)


def _with_fields(overrides: Sequence[str], fields: Mapping[str, object]) -> list[str]:
    return [*(f"{key}={value}" for key, value in fields.items() if value is not None), *overrides]


def name_of_run(command: str) -> str:
    """Of the flow run that is running: the command, and the model that it is about."""
    given = flow_run.parameters
    named = {"model_name": given.get("model_name") or ""}
    named |= dict(text.lstrip("+").partition("=")[::2] for text in given["overrides"])
    return f"{command}-{named['model_name']}".rstrip("-")


def _named(flow: Callable[..., Any], body: Callable[..., Any]) -> Callable[..., Any]:
    """Under the body's name, but with its own parameters, from which Prefect makes the form."""
    flow.__module__, flow.__name__, flow.__qualname__ = body.__module__, body.__name__, body.__qualname__
    fields = "\n".join(f"    {name}: {HELP[name]}" for name in inspect.signature(flow).parameters)
    flow.__doc__ = f"{inspect.cleandoc(body.__doc__ or '')}{FORM}{fields}\n"
    return flow


def as_deployed(work: Callable[[], T]) -> T | State:
    """What the work gives; where a deployment started the flow, a failed state with its faults instead of a Refusal,
    whose traceback nobody needs, and its lines in the run's log."""
    run = _flow_run()
    if run is None or run.deployment_id is None:
        return work()
    try:
        if said := _needless(run):
            return Completed(message=said)
        with _in_the_log():
            return work()
    except Refusal as refusal:
        get_run_logger().error("\n".join(refusal.faults))
        logging.getLogger("prefect.flow_runs").addFilter(_is_more_than_a_failed_state)
        return Failed(message="\n".join(refusal.faults))


def _is_more_than_a_failed_state(record: logging.LogRecord) -> bool:
    """Prefect's engine logs the traceback of its own exception for a state that was given as failed."""
    return not (record.exc_info and record.exc_info[0] and issubclass(record.exc_info[0], FailedRun))


def _flow_run() -> FlowRun | None:
    """None where the flow's function is called as a plain one."""
    context = FlowRunContext.get()
    return None if context is None else context.flow_run


def _needless(run: FlowRun) -> str:
    """Why a run that goes on has nothing to do, or ''.

    Raises:
        Refusal: where it crashed too often.
    """
    if run.run_count <= 1:
        return ""
    with get_client(sync_client=True) as client:
        states = sorted(client.read_flow_run_states(run.id), key=lambda state: state.timestamp)
    n_crashes = 0
    for before, state in pairwise(states):
        n_crashes = 0 if before.is_failed() or before.is_completed() else n_crashes + before.is_crashed()
        if state.message == GOES_ON and before.is_completed():
            return "It had ended when it was taken for crashed."
    if n_crashes >= CRASHES:
        raise Refusal(
            f"It crashed {n_crashes} times in a row and is not started again. Look at the worker's output (memory?), "
            "then run the deployment: it goes on where this one stopped."
        )
    return ""


@contextmanager
def _in_the_log() -> Iterator[None]:
    """What is printed goes to the run's log: pages show it, and no print fails with the worker that would read it."""
    lines = _Lines(get_run_logger().info)
    try:
        with redirect_stdout(lines):
            yield
    finally:
        lines.end()


class _Lines(io.TextIOBase):
    """A stream that gives each line away when it is whole."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._rest = ""

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in filter(str.strip, lines):
            self._say(line.rstrip())
        return len(text)

    def end(self) -> None:
        self.write("\n")
