"""The table of a replay, on the screen and in Markdown, and the line of one step."""

from __future__ import annotations

from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from flows import screen
from flows.screen import short
from tasks.replayed import Replayed, Standing, Step

DOES = {"nothing": "nothing", "search": "a search", "finetune": "a fine-tuning"}


def line(step: Step, metric: str) -> str:
    """What was scored, what was done and what came of it."""
    said = f"{step.period} {step.policy}: {metric} {short(step.score)} on {step.n_rows:,} rows"
    reason = f" ({step.reason})" if step.reason else ""
    if not step.outcome:
        due = "" if step.action == "nothing" else " would be due"
        return said + (f"; {DOES[step.action]}{due}{reason}" if reason else "")
    return f"{said}; {DOES[step.action]}{reason}: {step.outcome}, {step.why}; {step.seconds:.1f} s"


def headings(made: Replayed) -> list[str]:
    first = made.policies[0].policy
    return ["policy", made.metric, f"less {first}'s", "searches", "fine-tunings", "promoted", "seconds"]


def cells(one: Standing) -> list[str]:
    less = one.difference
    ends = "" if less is None else f"{less.value:.3g} ({less.low:.3g} to {less.high:.3g})"
    counts = (str(n) for n in (one.n_searches, one.n_finetunes, one.n_promoted))
    return [one.policy, short(one.score), ends, *counts, f"{one.seconds:.1f}"]


def quiet(policies: Sequence[Standing]) -> list[str]:
    """What is to be said of a monitor that never fired."""
    return [f"{one.policy} found nothing to do: its scores are those of the first model" for one in policies
            if one.policy == "monitor" and not one.n_searches + one.n_finetunes]  # fmt: skip


def explained(made: Replayed) -> str:
    return (
        f"mean of {len(made.periods)} periods ({made.period}), in brackets the 95 % interval of the difference, period "
        f"by period; seconds after the first model, which took {made.first_seconds:.1f}"
    )


def table(made: Replayed) -> str:
    """In Markdown."""
    head = headings(made)
    rows = [head, ["---"] * len(head), *map(cells, made.policies)]
    notes = [f"- {note}" for note in made.notes]
    return "\n".join([*(f"| {' | '.join(row)} |" for row in rows), "", explained(made), "", *notes])


def say(made: Replayed) -> None:
    """On the screen, and where to look."""
    shown = Table(box=None, pad_edge=False, header_style="bold")
    first, *others = headings(made)
    shown.add_column(first)
    for heading in others:
        shown.add_column(heading, justify="right")
    for one in made.policies:
        shown.add_row(*map(escape, cells(one)))
    screen.console().print(shown)
    screen.say(explained(made))
    for note in made.notes:
        screen.say(note, "yellow")
    for page, where in (("plot", made.plot), ("MLflow", made.mlflow_url), ("Prefect", made.prefect_url)):
        screen.say(f"{page:<9}{where}")
