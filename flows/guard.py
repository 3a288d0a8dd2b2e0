"""Guard: the checks of a run before the search and after the fit, what a person sees of them, and what comes of a model
that fails."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from flows import screen
from flows.budget import Budget
from flows.decide import Job
from flows.provenance import begun_with
from flows.record import origin_of
from tasks.check import Case, Check, Inspection
from tasks.divided import Divided
from tasks.inspect import inspect
from tasks.judge import judge
from tasks.records import Evaluation, Member, Registered, Trained
from tasks.refusal import Refusal
from tasks.verdict import Finding, Number, Verdict
from tasks.workspace import Experiment

STYLES = {"passed": "green", "failed": "bold red", "not_measurable": "yellow", "told": ""}


def inspected(job: Job) -> tuple[Finding, ...]:
    """What the checks that need no model find before the search, with what may be a leak told on the screen.

    Raises:
        Refusal: for leaks that stop the run, as `stop_on_leak` says which.
    """
    config, divided = job.decided.composed.config, job.split
    sides = Divided(Path(divided.folder), job.prepared.problem, config.seed, job.prepared.text)
    found = inspect([check for check in fitting(job) if isinstance(check, Inspection)], sides)
    certain = [finding for finding in found if finding.state == "failed"]
    suspected = [finding for finding in found if finding.is_suspected]
    stopping = {"certain": certain, "suspected": certain + suspected, "never": []}[config.stop_on_leak]
    if stopping:
        faults = [f"{finding.check}: {finding.reason}." for finding in stopping]
        remedy = f"stop_on_leak={config.stop_on_leak} stops the run before its search; stop_on_leak=never goes on."
        raise Refusal(*faults, remedy)
    for finding in found:
        if finding.reason:
            screen.say(f"{finding.check}: {finding.reason}", "bold red" if finding in certain else "yellow")
    return found


def fitting(job: Job) -> tuple[Check | Inspection, ...]:
    """The checks of the run that have something to say of its problem: of text that is written those that read pairs;
    others look for what only the columns of a table can show."""
    if not job.prepared.problem.is_generation:
        return job.plan.checks
    return tuple(check for check in job.plan.checks if getattr(check, "reads_pairs", False))


def guarded(
    job: Job,
    base: Path | None,
    experiment: Experiment,
    trained: Trained,
    evaluation: Evaluation,
    members: Sequence[Member],
    budget: Budget,
) -> Verdict:
    """What the checks of the run say of its model, told on the screen. Pre-trained weights that it began with are its
    base here, though none was asked for."""
    pretrained = [folder for folder, *_ in begun_with(job, trained.family)]
    case = Case(
        experiment=experiment,
        trained=Path(trained.folder),
        predictions=Path(evaluation.predictions),
        base=base or next(iter(pretrained), None),
        members=tuple(members),
        slices=Path(job.prepared.slices) if job.prepared.slices else None,
        deadline=budget.end,
    )
    verdict = judge(fitting(job), case, job.inspected)
    if verdict.findings:
        screen.console().print(table(verdict))
    for finding in verdict.findings:
        if finding.parts:
            screen.console().print(parts_table(finding))
        if finding.reason and finding not in job.inspected:  # of these it was said before the search
            screen.say(f"{finding.check}: {finding.reason}", STYLES[finding.state])
    if known := origin_of(base):
        licence = known["licence"] or "unknown"
        screen.say(f"base: from {known['origin']}, licence {licence}, sha256 {str(known['sha256'])[:12]}")
    return verdict


def say_gate(verdict: Verdict, registered: Registered) -> None:
    """That a model which failed is there, and nowhere named champion or challenger."""
    if verdict.failed:
        named = " and ".join(finding.check for finding in verdict.failed)
        screen.say(
            f"version {registered.model_version} of {registered.model_name} is registered, tagged finefold.gate=failed "
            f"and neither champion nor challenger: it failed {named}",
            STYLES["failed"],
        )


def table(verdict: Verdict) -> Table:
    """A line for each number, the check and its state before the first."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    made.add_column("check")
    made.add_column("")
    made.add_column("of")
    made.add_column("value", justify="right")
    made.add_column("95 % interval", justify="right")
    for finding in verdict.findings:
        state, style = finding.state.replace("_", " "), STYLES[finding.state]
        for n, (name, number) in enumerate(_lines(finding)):
            head = (finding.check, f"[{style}]{state}[/]" if style else state) if n == 0 else ("", "")
            made.add_row(*head, escape(name), *_cells(number))
    return made


def parts_table(finding: Finding) -> Table:
    """A line for each part of the rows."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    names = list(dict.fromkeys(name for part in finding.parts.values() for name in part))
    made.add_column(finding.check)
    for name in names:
        made.add_column(name.replace("_", " "), justify="right")
    for name, part in finding.parts.items():
        made.add_row(escape(name), *(_in_one(part.get(one)) for one in names))
    return made


def _in_one(number: Number | None) -> str:
    value, interval = _cells(number)
    return f"{value} ({interval})" if interval else value


def _lines(finding: Finding) -> Iterator[tuple[str, Number | None]]:
    if not finding.numbers:
        yield "", None
    for name, number in finding.numbers.items():
        yield name.replace("_", " "), number


def _cells(number: Number | None) -> tuple[str, str]:
    if number is None:
        return "", ""
    if number.low != number.low:
        return screen.short(number.value), ""
    return screen.short(number.value), f"{screen.short(number.low)} to {screen.short(number.high)}"
