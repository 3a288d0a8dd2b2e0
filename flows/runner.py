"""Where trials run in parallel: each runner is a function that `conf/runner/` names."""

from __future__ import annotations

import contextlib
import functools
import logging
import multiprocessing
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Generic, Literal, Self, TypeVar
from uuid import UUID

import httpx
from prefect import Task, flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.exceptions import CrashedRun, PrefectHTTPStatusError
from prefect.futures import PrefectFuture
from prefect.states import Completed, Crashed
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from flows import screen
from flows.cluster import QUIET_RAY, check_count_is_auto, look_at_dask, look_at_ray
from flows.drain import unrecorded, wait_for
from tasks.refusal import Refusal

T = TypeVar("T")

# Of a trial's time that a task run's own cost may take before trials share one. Batches of two in a window of four
# leave two workers idle for 6 to 22 % of the time, where trials' durations spread by 30 to 100 %; alone 1 to 8 %.
SHARE = 0.15
N_LOST = 3      # workers that one batch of trials may lose, beyond the retries of Dask (3) and Ray (3) themselves
REPORT_SECONDS = 15
GUARD = "Worker processes import the script that starts them: call run() under `if __name__ == '__main__':` there."


@dataclass(frozen=True)
class Runner:
    """One of Prefect's task runners, with what the search must know of it; entered for the time of the search.

    fixed_seconds: what a task run costs beside its work. is_elsewhere: whether task runs end in other processes.
    lost: what a future raises when its worker has died; gone: when all are out of reach. options: entered around each
    submit.
    """

    task_runner: TaskRunner[Any]
    n_workers: int
    fixed_seconds: float
    is_elsewhere: bool = False
    lost: tuple[type[BaseException], ...] = ()
    gone: tuple[type[BaseException], ...] = ()
    options: Callable[[], AbstractContextManager[Any]] = contextlib.nullcontext
    begun: dict[str, Task[Any, Any]] = field(default_factory=dict)

    @property
    def short_seconds(self) -> float:
        """Trials shorter than this share a task run."""
        return self.fixed_seconds / SHARE

    def submit(self, task: Task[Any, T], parameters: dict[str, Any]) -> Submitted[T]:
        """Begins a task run; its value is had from `result`."""
        return Submitted(self, task, parameters, self._submit(task, parameters))

    def _submit(self, task: Task[Any, T], parameters: dict[str, Any]) -> PrefectFuture[T]:
        with self.options(), _small_context() if self.is_elsewhere else contextlib.nullcontext():
            try:
                future: PrefectFuture[T] = self.task_runner.submit(task, parameters=parameters)
            except RuntimeError as error:  # Dask's local cluster begins here
                raise Refusal(f"the workers can't be started: {error}. {GUARD}") from error
        self.begun[str(future.task_run_id)] = task
        return future

    def __enter__(self) -> Self:
        self.task_runner.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        """Other processes report the ends of their task runs themselves, so they live until all are recorded."""
        if self.is_elsewhere and error == (None, None, None):
            problem = wait_for(list(self.begun), REPORT_SECONDS)
            if problem:     # a process that died had not reported all that it had ended
                with contextlib.suppress(httpx.HTTPError, PrefectHTTPStatusError):
                    for task_run_id in unrecorded(list(self.begun)):
                        _record(task_run_id, self.begun[task_run_id], Completed())
                problem = wait_for(list(self.begun), REPORT_SECONDS)
            if problem:
                screen.say(f"Prefect's server did not record all task runs; {problem}", "yellow")
        self.begun.clear()
        self.task_runner.__exit__(*error)


@dataclass
class Submitted(Generic[T]):
    """A task run that was begun. It is begun anew when its worker dies: a machine's failure is no trial's."""

    runner: Runner
    task: Task[Any, T]
    parameters: dict[str, Any]
    future: PrefectFuture[T]

    def result(self) -> T:
        """The task's value, once it has ended.

        Raises:
            Refusal: when worker after worker died of it.
        """
        for _ in range(N_LOST):
            try:
                return self.future.result()
            except self.runner.lost as error:
                reason = f"{type(error).__name__}: {str(error).splitlines()[0]}"
                _record(str(self.future.task_run_id), self.task, Crashed(message=reason))
                del self.runner.begun[str(self.future.task_run_id)]
                self.future = self.runner._submit(self.task, self.parameters)
            except self.runner.gone as error:
                raise Refusal(f"the cluster went away ({error}). Nothing is lost: the same command goes on.") from error
        raise Refusal(
            f"{self.task.task_run_name}: its worker died {N_LOST} times ({reason}), perhaps for want of memory. "
            "Nothing is lost: with fewer runner.workers the same command goes on."
        )


def threads(workers: int | Literal["auto"]) -> Runner:
    """Threads of this process.

    Raises:
        Refusal: for a number of workers that is none.
    """
    n_workers = count(workers)
    return Runner(ThreadPoolTaskRunner(max_workers=n_workers), n_workers, fixed_seconds=0.025)


def dask(workers: int | Literal["auto"], address: str | None) -> Runner:
    """Worker processes of a Dask cluster: of a local one, with one thread each, or of the scheduler at `address`.

    Raises:
        Refusal: for a number of workers that is none, without the extra `dask`, or when the cluster can't be used.
    """
    with _extra("dask"):
        from distributed.client import FutureCancelledError
        from distributed.scheduler import KilledWorker
        from prefect_dask import DaskTaskRunner
    of_dask = functools.partial(
        Runner, is_elsewhere=True, fixed_seconds=0.1, lost=(KilledWorker, CrashedRun), gone=(FutureCancelledError,)
    )
    if address is not None:
        check_count_is_auto(workers)
        return of_dask(DaskTaskRunner(address=address), look_at_dask(address))
    _check_guard("dask")
    cluster = {
        "n_workers": count(workers),
        "threads_per_worker": 1,
        "host": "127.0.0.1",
        "dashboard_address": "127.0.0.1:0",
        "memory_limit": None,   # a table belongs to its worker: at a limit Dask would kill it again and again
        "silence_logs": logging.CRITICAL,
    }
    return of_dask(DaskTaskRunner(cluster_kwargs=cluster), count(workers))


def ray(workers: int | Literal["auto"], address: str | None) -> Runner:
    """Worker processes of Ray: of a local instance, or of the cluster at `address`.

    Raises:
        Refusal: for a number of workers that is none, without the extra `ray`, or when the cluster can't be used.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")    # else Ray warns of a change to come
    if address is None:
        # Else Ray listens on all interfaces. It reads this when it is imported, and puts the machine's own address into
        # the place of 127.0.0.1 where that is asked for by `_node_ip_address`.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    with _extra("ray"):
        from prefect_ray import RayTaskRunner
        from prefect_ray.context import remote_options
        from ray import exceptions
    of_ray = functools.partial(
        Runner,
        is_elsewhere=True,
        fixed_seconds=0.1,
        lost=(exceptions.WorkerCrashedError, exceptions.NodeDiedError, exceptions.OutOfMemoryError, CrashedRun),
        options=functools.partial(remote_options, max_retries=3),
    )
    if address is not None:
        check_count_is_auto(workers)
        return of_ray(RayTaskRunner(address, QUIET_RAY), look_at_ray(address))
    local = {
        "num_cpus": count(workers),
        "include_dashboard": False,
        "object_store_memory": 100_000_000,     # bytes: no table passes through it
    }
    return of_ray(RayTaskRunner("local", QUIET_RAY | local), count(workers))


def count(workers: int | str) -> int:
    """The number of workers; `auto` is one per core that this process may use."""
    if workers == "auto":
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not isinstance(workers, int) or isinstance(workers, bool) or workers < 1:
        raise Refusal(f"runner.workers must be auto or at least 1, got {workers}.")
    return workers


@flow(name="finefold")
def _of_worker() -> None:
    """What workers are told of the flow that their task runs belong to."""


def _small_context() -> AbstractContextManager[Any]:
    """The flow run's context without its flow, which Prefect would send along with all that its function names."""
    context = FlowRunContext.get()
    if context is None:
        return contextlib.nullcontext()
    return context.model_copy(update={"flow": _of_worker, "parameters": {}})


def _record(task_run_id: str, task: Task[Any, Any], state: State[Any]) -> None:
    """Ends a task run in the server's database, where its name, or all of it, may have died with its worker."""
    context = FlowRunContext.get()
    flow_run_id = None if context is None or context.flow_run is None else context.flow_run.id
    name, id_ = str(task.task_run_name), UUID(task_run_id)
    with get_client(sync_client=True) as client:

        def end() -> None:
            client.set_task_run_state(id_, state, force=True)
            client.set_task_run_name(id_, name)

        with _suppressed(HTTPStatus.NOT_FOUND):
            return end()
        with _suppressed(HTTPStatus.CONFLICT):
            client.create_task_run(task, flow_run_id, dynamic_key=task_run_id, id=id_, name=name, state=state)
            return None
        return end()    # what its worker had reported came between the two


@contextlib.contextmanager
def _suppressed(status: HTTPStatus) -> Iterator[None]:
    try:
        yield
    except PrefectHTTPStatusError as error:
        if error.response.status_code != status:
            raise


@contextlib.contextmanager
def _extra(name: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise Refusal(f'runner={name} needs more packages ({error}): pip install "finefold[{name}]"') from error


def _check_guard(name: str) -> None:
    """Worker processes import the main script first; one that runs the search without a guard would begin anew."""
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise Refusal(f"runner={name} starts processes. {GUARD}")


