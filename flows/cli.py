"""finefold <command> [overrides]: the command line. It imports nothing heavy until it knows the command."""

from __future__ import annotations

import gc
import importlib
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.commands import COMMANDS, EXPLAINED, FAILED, ONLY_KEYS
from tasks.refusal import Refusal, did_you_mean

if TYPE_CHECKING:
    from tasks.records import Result

BEGUN = time.time()
FLAGS = {
    "--help": "this text",
    "--cfg": "print the configuration (`--cfg job`) and end",
    "--multirun": "one run per combination of `a=1,2`",
    "--shell-completion": "print a completion script: install=bash, zsh or fish",
    "--debug": "show tracebacks",
}
CONF = Path(__file__).resolve().parent.parent / "conf"
USAGE_ERROR, INTERRUPTED = 2, 130


def main(arguments: Sequence[str] | None = None) -> None:
    """The console script: runs a command and exits with 0, with 2 for what the user can mend, with 130
    when interrupted, and with 1 for what should not happen."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    is_debugging = "--debug" in given
    try:
        sys.exit(_dispatch([argument for argument in given if argument != "--debug"]))
    except Refusal as refusal:
        if is_debugging:
            raise
        print("\n".join(refusal.faults), file=sys.stderr)
        sys.exit(USAGE_ERROR)
    except KeyboardInterrupt:
        print("interrupted; the same command (less resume=never) goes on where this one stopped", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except OSError as error:
        if is_debugging:
            raise
        print(_explain(error), file=sys.stderr)
        sys.exit(USAGE_ERROR)
    except Exception as error:
        if is_debugging:
            raise
        print(f"finefold failed: {type(error).__name__}: {error}. --debug shows where.", file=sys.stderr)
        sys.exit(FAILED)


def _dispatch(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("--help", "-h"):
        print(_help())
        return 0
    command, rest = arguments[0], arguments[1:]
    if command == "--shell-completion" or command.startswith("--shell-completion="):
        from flows.completion import script

        print(script(command.partition("=")[2] or (rest[0] if rest else "bash")))
        return 0
    if command == "--complete":
        from flows.completion import complete

        print("\n".join(complete(rest, COMMANDS)))
        return 0
    if command not in COMMANDS:
        raise Refusal(f"no command {command!r}{did_you_mean(command, COMMANDS)} Commands: {', '.join(COMMANDS)}.")
    return _run(command, rest)


def _run(command: str, arguments: list[str]) -> int:
    flags, overrides = _split(arguments)
    if "--help" in flags:
        print(_help_of(command))
        return 0
    if command == "pretrain":
        from flows.pretrain import pretraining

        overrides = pretraining(overrides)
    if command in ONLY_KEYS:
        return _of_its_own(command, flags, overrides)
    if "--cfg" in flags:
        return _show_configuration(_with_own_family(overrides))
    if COMMANDS[command].has_own_file:
        return _of_its_own(command, flags, overrides)
    overrides = _with_own_family(overrides)
    warnings.simplefilter("ignore")  # of libraries, to users who can't mend them
    if command in ("compare", "finetune") and "--multirun" in flags:
        raise Refusal(f"{command} --multirun: {command} runs several by itself; leave --multirun out.")
    if command == "compare":
        return _compare(overrides)
    if command == "finetune":
        return _finetune(overrides)
    if "--multirun" in flags:
        return _multirun(overrides)
    result = _run_once(overrides, BEGUN)
    _summarize(result, overrides)
    _print_json(asdict(result), overrides)
    return 0


def _of_its_own(command: str, flags: set[str], arguments: list[str]) -> int:
    if flags:
        raise Refusal(f"{command} has no flag {', '.join(sorted(flags))}; finefold {command} --help shows its keys.")
    warnings.simplefilter("ignore")  # of libraries, to users who can't mend them
    with _no_collection():
        module = importlib.import_module(f"flows.{command}")
    return int(module.command(arguments, BEGUN))


def _split(arguments: list[str]) -> tuple[set[str], list[str]]:
    short = {"-h": "--help", "-c": "--cfg", "-m": "--multirun"}
    flags, overrides = set(), []
    rest = iter(arguments)
    for argument in rest:
        if not argument.startswith("-"):
            overrides.append(argument)
            continue
        flag = short.get(argument, argument.partition("=")[0])
        if flag not in FLAGS:
            raise Refusal(f"no flag {argument!r}{did_you_mean(flag, FLAGS)} Flags: {', '.join(FLAGS)}.")
        if flag == "--cfg" and (what := argument.partition("=")[2] or next(rest, "job")) != "job":
            raise Refusal(f"--cfg {what}: only `--cfg job` is known; overrides come after it.")
        flags.add(flag)
    return flags, overrides


def _run_once(overrides: list[str], begun: float) -> Result:
    from flows import config, server

    config.compose(overrides)  # faults of the configuration show before anything is started
    with server.start() as running:  # it loads its libraries while we load ours
        with _no_collection():
            from flows.pipeline import run

        return run(overrides, begun=begun, running=running)


def _with_own_family(overrides: list[str]) -> list[str]:
    """With the family of the base, where there is one; what looks for it takes seconds to import."""
    if not any(text.startswith("base=") for text in overrides):
        return overrides
    from flows.base import with_own_family

    return with_own_family(overrides)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Imports make no garbage; looking for it through all that they load took 1.0 of 7.2 s."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _multirun(overrides: list[str]) -> int:
    from flows import config, screen, server
    from flows.overrides import sweep

    combinations = config.fitted(sweep(overrides))
    with _no_collection():
        from flows.multirun import planned, run_each
    planned(combinations)
    outcomes = []
    with server.start() as running:
        for outcome in run_each(running, combinations, BEGUN):
            outcomes.append(outcome)
            if outcome.result is not None:
                _summarize(outcome.result, outcome.overrides)
    screen.runs([(outcome.name, outcome.result, outcome.error) for outcome in outcomes])
    told = [asdict(one.result) if one.result else {"run": one.name, "error": one.error} for one in outcomes]
    _print_json({"runs": told}, outcomes[-1].overrides)
    return FAILED if any(outcome.result is None for outcome in outcomes) else 0


def _compare(overrides: list[str]) -> int:
    from flows import config, screen
    from flows.overrides import sweep

    with _no_collection():
        from flows.compare import compare
    comparison = compare(overrides, begun=BEGUN)
    first = next(iter(config.fitted(sweep(overrides)).values()))
    screen.comparison(comparison, _page_hint(first))
    _print_json(asdict(comparison), first)
    return FAILED if comparison.failed else 0


def _finetune(overrides: list[str]) -> int:
    with _no_collection():
        from flows.finetune import FineTuned, finetune, with_strategy
    done, composable = finetune(overrides, begun=BEGUN), with_strategy(overrides)
    result = done.result if isinstance(done, FineTuned) else done
    _summarize(result, composable)
    _print_json(asdict(done), composable)
    return 0


def _summarize(result: Result, overrides: list[str]) -> None:
    from flows import screen

    screen.summary(result, _page_hint(overrides))


def _page_hint(overrides: list[str]) -> str:
    """How to see the pages that were named, where they are on no server of the user's."""
    from flows import config
    from flows.servers import ROOT
    from tasks import tracking
    from tasks.served import served

    is_elsewhere = tracking.address(config.compose(overrides).config.tracking.uri) is not None
    return "" if is_elsewhere or served(ROOT) else "To open these pages: finefold up"


def _print_json(content: dict[str, Any], overrides: list[str]) -> None:
    from flows.output import print_json

    print_json(content, overrides)


def _show_configuration(overrides: list[str]) -> int:
    from omegaconf import OmegaConf

    from flows import config

    print(OmegaConf.to_yaml(config.compose(overrides).recorded), end="")
    return 0


def _help() -> str:
    commands = "\n".join(f"  {name:<12}{what}" for name, what in EXPLAINED.items())
    return (
        f"finefold <command> [flags] [KEY=VALUE ...]\n\n{commands}\n\nfinefold run --help shows its choices; "
        "finefold --shell-completion bash prints a completion script."
    )


def _help_of(command: str) -> str:
    of = COMMANDS[command]
    if command in ONLY_KEYS:
        keys = "\n".join(f"  {key}" for key in of.keys)
        return "\n\n".join(filter(None, [f"finefold {command} {of.usage}", of.what, of.ends, f"Keys:\n{keys}"]))
    shown = {flag: what for flag, what in FLAGS.items() if command != "compare" or flag != "--multirun"}
    flags = "\n".join(f"  {flag:<20}{what}" for flag, what in shown.items())
    choices = "\n".join(f"  {group}={', '.join(names)}" for group, names in _choices().items())
    root = (CONF / "config.yaml").read_text().partition("\n\n")[2]
    return (
        f"finefold {command} {of.usage}: {of.what}\n\n{flags}\n\nChoices of each group "
        f"(conf/GROUP/CHOICE.yaml says what its keys do):\n{choices}\n\nKeys:\n{root}"
    )


def _choices() -> dict[str, list[str]]:
    """Groups and choices by file name; Hydra itself would take longer than the whole of --help may."""
    import os

    folders = [CONF, *([Path(os.environ["FINEFOLD_CONF"])] if os.environ.get("FINEFOLD_CONF") else [])]
    found: dict[str, set[str]] = {}
    for folder in folders:
        for path in folder.glob("*/*.yaml"):
            found.setdefault(path.parent.name, set()).add(path.stem)
    return {group: sorted(names) for group, names in sorted(found.items())}


def _explain(error: OSError) -> str:
    where = error.filename or "the current folder"
    return f"{where}: {error.strerror or error}. Nothing is lost: mend it, and the same command goes on from here."


if __name__ == "__main__":
    main()
