"""The commands, in the order in which they are shown. One that takes few keys, or says so, has a file in flows/ of
its name that holds its command line too: `command(arguments, begun) -> exit status`."""

from __future__ import annotations

from dataclasses import dataclass

FAILED = 1


@dataclass(frozen=True)
class Command:
    """what: it does. usage: its arguments. keys: the only ones that it takes, none: all of the configuration.
    ends: what its exit status says, where it is more than success and refusal.
    has_own_file: though it takes all keys."""

    what: str
    usage: str = "[flags] [KEY=VALUE ...]"
    keys: tuple[str, ...] = ()
    ends: str = ""
    has_own_file: bool = False


SERVERS = (
    "servers.folder", "servers.mlflow.artifacts", "servers.mlflow.database", "servers.mlflow.port", "servers.pool",
    "servers.prefect.database", "servers.prefect.port", "servers.runs",
)  # fmt: skip
COMMANDS = {
    "run": Command("from a table to a tuned, tracked and registered model"),
    "pretrain": Command("a run on a broad source, whose model takes along what fine-tuning needs of it"),
    "finetune": Command("from a base to the cheapest strategy of the best: each tried on the same folds, in one table"),
    "compare": Command("`KEY=A,B`: each choice on the same folds and budget, in one table with intervals"),
    "replay": Command(
        "a table gone through month by month under several policies: what each scores and costs", has_own_file=True
    ),
    "rollback": Command(
        "`model_name=NAME`: the champion before the last promotion is the champion again",
        "model_name=NAME, and where that is no folder mlruns/ here: tracking.uri=ADDRESS; output=json",
        ("model_name", "output", "tracking.uri"),
    ),
    "deploy": Command(
        "`model_name=NAME source.path=P ...`: the schedules of conf/schedule, all or schedule=[...], as deployments",
        "model_name=NAME [schedule=[NAME,...]] [KEY=VALUE of their runs ...]",
        has_own_file=True,
    ),
    "score": Command(
        "predictions of a table by a registered model, in chunks, each row with its key, or rejected with the reason",
        "model_name=NAME source=file source.path=FILE predictions.path=FILE [KEY=VALUE ...]",
        (
            "model_name", "predictions.if_exists", "predictions.interval", "predictions.path", "predictions.rejects",
            "predictions.table", "predictions.url", "predictions.version", "source", "source.chunk_rows",
            "source.columns", "source.data_home", "source.delimiter", "source.encoding", "source.id", "source.key",
            "source.name", "source.path", "source.query", "source.url", "output", "tracking.uri", "allow_packages",
        ),
    ),
    "monitor": Command(
        "`model_name=NAME`: whether inputs, predictions or score drifted since training, and what is done about it",
        "model_name=NAME [source.path=FILE] [labels.path=FILE source.key=[COLUMN]] [monitor.KEY=VALUE ...]",
        (
            "allow_packages", "deploy.suffix", "labels.path", "model_name", "monitor", "output", "source",
            "source.key", "source.path", "tracking.uri",
        ),
        "Without a table it looks at the batches that finefold score kept, as long back as monitor.window_hours. "
        "finefold run --help shows the keys of monitor, and those of source.",
    ),
    "runs": Command(
        "what was run, the newest first: when, which model, its scores, its state, its version and alias",
        "[KEY=VALUE ...]",
        ("model_name", "output", "runs.last", "runs.state", "tracking.experiment", "tracking.uri"),
    ),
    "show": Command(
        "`RUN`, an id, its first letters, or models:/NAME@champion: all of one run, and where its pages are",
        "RUN [output=json] [tracking.uri=ADDRESS]",
        ("output", "tracking.uri"),
    ),
    "clean": Command(
        "what of data/ and of trials' artifacts is old and needed by no model with an alias; clean.do=true removes it",
        "[KEY=VALUE ...]",
        ("clean.days", "clean.do", "clean.last", "clean.models", "output", "tracking.uri"),
    ),
    "reproduce": Command(
        "`RUN`, an id or models:/NAME@champion: once more as it was recorded, equal or what differs and why",
        "RUN [KEY=VALUE ...]",
        (
            "base", "holdout.path", "output", "runner", "runner.address", "runner.workers", "source.path", "source.url",
            "source_data", "tracking.experiment", "tracking.uri",
        ),
        "It ends with 0 where the same came out, with 1 where something differs, with 2 where it can't be done. "
        "Nothing is registered.",
    ),
    "up": Command(
        "Prefect's server, MLflow's server and a worker on this machine, until Ctrl-C",
        "[KEY=VALUE ...]",
        ("output", *SERVERS),
        "It shows where they are once each answers. What of them ends is started anew.",
    ),
    "status": Command(
        "what of the two servers and this folder's worker is up", "[KEY=VALUE ...]", ("output", *SERVERS),
        "It ends with 0 where all three are up, with 1 where one is not.",
    ),
    "doctor": Command(
        "what is installed, reachable, writable and out of date, each with the command that mends it",
        "[KEY=VALUE ...]", ("output", *SERVERS),
        "It ends with 0 where nothing is wrong, with 1 where something is.",
    ),
    "down": Command(
        "stops what `finefold up` started in this folder", "[output=json]", ("output",),
        "It ends with 1 where a run still uses Prefect's server, which that run will stop.",
    ),
}  # fmt: skip
EXPLAINED = {name: command.what for name, command in COMMANDS.items()}
ONLY_KEYS = {name: command.keys for name, command in COMMANDS.items() if command.keys}
