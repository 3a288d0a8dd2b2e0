"""Exporting: a run's model in other formats, what a person sees of it, and what comes of one that differs."""

from __future__ import annotations

from pathlib import Path

from flows import screen
from flows.decide import Job
from tasks.export import export
from tasks.records import Exported, Parity, Trained
from tasks.refusal import Refusal
from tasks.tracking import Tracker


def exported_of(job: Job, trained: Trained, tracker: Tracker) -> tuple[Exported, ...]:
    """The exports that were asked for, told on the screen and logged under `export/FORMAT`.

    Raises:
        Refusal: where one differs from the model by more than it may; nothing is registered then.
    """
    if not job.plan.formats:
        return ()
    made = export(job.plan.formats, trained, job.split, job.decided.composed.config.export.rows)
    for one in made:
        tracker.folder(Path(one.folder), f"export/{one.format}")
        for parity in one.parity:
            screen.say(described(parity), "" if parity.is_within else "bold red")
            key = f"export.{parity.name.replace(' ', '.')}"
            tracker.metrics({f"{key}.largest": parity.largest, f"{key}.flips": parity.flips})
    faults = [fault_of(one.format, parity) for one in made for parity in one.parity if not parity.is_within]
    if faults:
        raise Refusal(*faults)
    return made


def described(parity: Parity) -> str:
    """One line."""
    n = f"{parity.n_rows:,} rows of the holdout"
    if parity.n_rows < parity.n_holdout:
        n = f"{parity.n_rows:,} of {parity.n_holdout:,} rows of the holdout (export.rows)"
    return (
        f"{parity.name}: on {n} and {parity.n_hard:,} hard rows at most {parity.largest:.2g} from the model "
        f"({parity.of_999:.2g} on 99.9 %), {parity.flips:,} other labels; {parity.megabytes:.3g} MB, "
        f"{parity.rows_per_second:,.0f} rows/s on one core (the model itself {parity.model_rows_per_second:,.0f})"
    )


def fault_of(name: str, parity: Parity) -> str:
    """What is too far apart, and what to do."""
    return (
        f"export.formats=[{name}]: {parity.name} differs from the model by {parity.largest:.3g} (at most "
        f"{parity.most_difference:.3g} is allowed; 99.9 % of the rows come within {parity.of_999:.3g}), most at "
        f"{parity.worst}, and gives {parity.flips:,} of {parity.n_rows + parity.n_hard:,} rows another label (a share "
        f"of {parity.most_flips:g} is allowed). Nothing is registered; the run keeps the file and parity.json. "
        f"Leave export.formats out, or widen format.{name}.most_difference; the search is not repeated."
    )
