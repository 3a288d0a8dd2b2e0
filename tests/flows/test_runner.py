"""Runners in other processes, with real schedulers and workers: the same trials, whoever is slow and whoever dies."""

from __future__ import annotations

import importlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import optuna
import pytest
from on_iris import FAST, SEARCHES, N, experiment, ignore
from prefect import flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.runtime import flow_run
from prefect.states import Running
from wrapped import Observed

from flows import runner as runners
from flows.budget import Budget
from flows.config import compose
from flows.decide import settle
from flows.pipeline import run
from flows.plan import plan
from flows.runner import threads
from flows.server import Server
from flows.tune import Rules, Tuned, tune
from tasks.evidence import Ladder
from tasks.refusal import Refusal
from tasks.study import opened
from tasks.trial import run_trials
from tasks.workspace import Experiment


@dataclass(frozen=True)
class Searching:
    """Searches on iris; each `name` is a study of its own."""

    folder: Path
    experiment: Experiment

    def run(
        self, choice: str, name: str, *runner: str, slow: float = 0.0, dies_at: int = 0, deaths: int = 0
    ) -> Searched:
        planned = plan(compose([f"search={choice}", *runner, *FAST]))
        notes = self.folder / name
        notes.mkdir()
        families: dict[str, Any] = {
            key: Observed(family, str(notes), slow, dies_at, deaths) for key, family in self.experiment.families.items()
        }

        @flow(name="searching")
        def searching() -> Searched:
            with opened(self.folder / "studies", name, is_higher_better=False) as study:
                here = replace(self.experiment, digest=name, folder=str(study.folder), families=families)
                tuned = tune(
                    here, study, settle(planned.search, 4), planned.space, planned.runner,
                    Rules(N, 4, Budget(time.time(), None, planned.n_workers), Ladder(), racing=2.5),
                    n_workers=planned.n_workers, told=ignore,
                )  # fmt: skip
            processes = [int(line) for line in (notes / "folds").read_text().splitlines()]
            return Searched(tuned, processes, flow_run.id)

        return searching()


@dataclass(frozen=True)
class Searched:
    """A search's outcome, the process of each fold that was begun, and the id of the flow run."""

    tuned: Tuned
    processes: list[int]
    flow_run_id: str

    @property
    def outcome(self) -> list[tuple[Any, ...]]:
        """The winner, then every trial with its folds, but for the seconds that they took."""
        trials = [
            (r.proposal, r.error, r.estimate, [(f.fold, f.value, f.cost, f.rounds) for f in r.folds])
            for r in self.tuned.results
        ]
        return [(self.tuned.winner.proposal, self.tuned.winner.mean), *trials]

    def task_runs(self) -> tuple[set[int], set[str]]:
        """The trials of all task runs in the server's database, by number, and the states of those task runs."""
        mine = FlowRunFilter.model_validate({"id": {"any_": [self.flow_run_id]}})
        with get_client(sync_client=True) as client:
            runs = client.read_task_runs(flow_run_filter=mine)
        numbers = [[int(number) for number in run.name.split("-")[1:]] for run in runs]
        return {n for ends in numbers for n in range(ends[0], ends[-1] + 1)}, {str(run.state_name) for run in runs}


LISTENING = """
import psutil
from flows.runner import ray
with ray(1, None).task_runner:
    me = psutil.Process()
    for process in (me, *me.children(recursive=True)):
        for one in process.net_connections("inet"):
            if one.status == psutil.CONN_LISTEN:
                print(one.laddr.ip)
"""


@pytest.fixture(scope="module")
def on_iris(tmp_path_factory: pytest.TempPathFactory, prefect_server: Server) -> Iterator[Searching]:
    folder = tmp_path_factory.mktemp("iris")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]))
        patch.chdir(folder)
        yield Searching(folder, experiment())


@pytest.fixture(scope="module")
def undisturbed(on_iris: Searching) -> Searched:
    return on_iris.run("bayesian", "undisturbed", "runner.workers=1")


@pytest.fixture(scope="module")
def scheduler(on_iris: Searching) -> Iterator[str]:
    """The address of a Dask scheduler with two worker processes that runs already."""
    distributed = pytest.importorskip("distributed", reason="needs the extra dask: make test-all")
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": "127.0.0.1:0", "memory_limit": None}
    with distributed.LocalCluster(**options) as cluster:
        yield cluster.scheduler_address


@pytest.fixture(params=["dask", "ray"])
def processes(request: pytest.FixtureRequest) -> list[str]:
    """Two worker processes of one machine, by the runners that have some."""
    pytest.importorskip(f"prefect_{request.param}", reason=f"needs the extra {request.param}: make test-all")
    return [f"runner={request.param}", "runner.workers=2"]


@pytest.mark.slow
@pytest.mark.parametrize("choice", SEARCHES)
def test_a_running_scheduler_gives_the_same_trials_and_winner_as_threads(
    on_iris: Searching, scheduler: str, choice: str
) -> None:
    one, two = (on_iris.run(choice, f"{choice}-{n}", f"runner.workers={n}") for n in (1, 2))
    there = on_iris.run(choice, f"{choice}-dask", "runner=dask", f"runner.address={scheduler}")
    assert one.outcome == two.outcome == there.outcome
    assert len(there.tuned.results) == N
    assert os.getpid() not in there.processes
    assert there.task_runs() == (set(range(N)), {"Completed"})


@pytest.mark.slow
def test_the_main_job_gives_the_same_on_workers_that_began_in_another_folder(
    scheduler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    budget = [*FAST, "search.trials=5"]
    there = run([*budget, "runner=dask", f"runner.address={scheduler}"])
    assert there.trials.reused == 0
    here = run([*budget, "resume=never"])
    assert (here.cv, here.best, here.holdout) == (there.cv, there.best, there.holdout)
    assert {path.name for path in tmp_path.iterdir()} == {"data", "mlruns"}


@pytest.mark.slow
def test_a_slow_worker_changes_nothing_and_no_task_run_is_lost(
    on_iris: Searching, undisturbed: Searched, processes: list[str]
) -> None:
    there = on_iris.run("bayesian", f"slow-{processes[0]}", *processes, slow=0.3)
    assert there.outcome == undisturbed.outcome
    assert len(set(there.processes)) == 2
    assert len(there.processes) == len(undisturbed.processes)
    assert there.task_runs() == (set(range(N)), {"Completed"})


@pytest.mark.slow
def test_a_killed_worker_loses_the_fold_it_was_at_and_nothing_else(
    on_iris: Searching, undisturbed: Searched, processes: list[str]
) -> None:
    there = on_iris.run("bayesian", f"killed-{processes[0]}", *processes, dies_at=10, deaths=1)
    assert there.outcome == undisturbed.outcome
    assert len(there.processes) == len(undisturbed.processes) + 1
    assert there.task_runs() == (set(range(N)), {"Completed"})


@pytest.mark.slow
def test_a_batch_that_the_scheduler_gave_up_on_is_begun_anew_a_few_times(
    on_iris: Searching, undisturbed: Searched
) -> None:
    pytest.importorskip("prefect_dask", reason="needs the extra dask: make test-all")
    dask = importlib.import_module("dask")
    local = ("runner=dask", "runner.workers=1")
    with dask.config.set({"distributed.scheduler.allowed-failures": 0}):
        there = on_iris.run("bayesian", "given-up-once", *local, dies_at=10, deaths=1)
        assert there.outcome == undisturbed.outcome
        assert len(there.processes) == len(undisturbed.processes) + 1
        assert there.task_runs() == (set(range(N)), {"Completed", "Crashed"})
        with pytest.raises(Refusal, match=r"trial-\d: its worker died 3 times \(KilledWorker"):
            on_iris.run("bayesian", "hopeless", *local, dies_at=10, deaths=100)


def test_what_a_worker_that_died_had_not_reported_is_recorded_at_the_end(
    prefect_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runners, "REPORT_SECONDS", 0.5)
    lost = str(uuid4())

    @flow
    def searching() -> UUID:
        runner = replace(threads(1), is_elsewhere=True)
        with runner:
            runner.begun[lost] = run_trials.with_options(task_run_name="trial-7")
        return UUID(flow_run.id)

    flow_run_id = searching()
    with get_client(sync_client=True) as client:
        found = client.read_task_run(UUID(lost))
    assert (found.name, found.state_name, found.flow_run_id) == ("trial-7", "Completed", flow_run_id)


def test_a_task_run_whose_report_comes_while_it_is_being_recorded_is_ended_all_the_same(
    prefect_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = str(uuid4())
    create = SyncPrefectClient.create_task_run

    def reported_first(client: SyncPrefectClient, *given: Any, **options: Any) -> Any:
        create(client, *given, **options | {"dynamic_key": "reported", "name": "of-worker", "state": Running()})
        return create(client, *given, **options)

    @flow
    def searching() -> None:
        with replace(threads(1), is_elsewhere=True) as runner:
            runner.begun[lost] = run_trials.with_options(task_run_name="trial-7")

    monkeypatch.setattr(runners, "REPORT_SECONDS", 0.5)
    monkeypatch.setattr(SyncPrefectClient, "create_task_run", reported_first)
    searching()
    with get_client(sync_client=True) as client:
        found = client.read_task_run(UUID(lost))
    assert (found.name, found.state_name) == ("trial-7", "Completed")


@pytest.mark.slow
def test_a_local_ray_listens_on_this_machine_alone(tmp_path: Path) -> None:
    """In a process of its own, since Ray reads what it is told when it is imported."""
    pytest.importorskip("prefect_ray", reason="needs the extra ray: make test-all")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    given: dict[str, Any] = {"cwd": tmp_path, "env": environment, "capture_output": True, "text": True, "check": True}
    addresses = set(subprocess.run([sys.executable, "-c", LISTENING], **given).stdout.split())
    assert addresses
    assert addresses <= {"127.0.0.1", "::ffff:127.0.0.1"}


def test_a_scheduler_without_workers_is_refused() -> None:
    distributed = pytest.importorskip("distributed", reason="needs the extra dask: make test-all")
    with distributed.LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0") as cluster:
        address = cluster.scheduler_address
        with pytest.raises(Refusal, match=f"runner.address={address} has no worker; start some by `dask worker"):
            plan(compose(["runner=dask", f"runner.address={address}"]))
        with pytest.raises(Refusal, match=r"runner.workers=2: the cluster at runner.address has the workers it has"):
            plan(compose(["runner=dask", f"runner.address={address}", "runner.workers=2"]))


@pytest.mark.parametrize("runner", ["dask", "ray"])
def test_an_address_that_does_not_answer_is_refused(runner: str) -> None:
    pytest.importorskip(f"prefect_{runner}", reason=f"needs the extra {runner}: make test-all")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(Refusal, match=f"runner.address={address} does not answer.*refused"):
            plan(compose([f"runner={runner}", f"runner.address={address}"]))
        silent.listen()
        with pytest.raises(Refusal, match=f"runner.address={address} does not answer.*timed out"):
            plan(compose([f"runner={runner}", f"runner.address={address}"]))
    with pytest.raises(Refusal, match=r"runner.address=here is no address; write \w+://HOST:PORT"):
        plan(compose([f"runner={runner}", "runner.address=here"]))


@pytest.mark.parametrize("runner", ["dask", "ray"])
def test_a_runner_without_its_extra_says_what_to_install(runner: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, f"prefect_{runner}", None)
    with pytest.raises(Refusal, match=rf'pip install "finefold\[{runner}\]"'):
        plan(compose([f"runner={runner}"]))
