"""What a person sees while a run goes on: a progress bar in a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tasks.climb import Climb, Rung, gap
from tasks.comparison import Comparison, Interval, Standing, error_of_mean
from tasks.records import Combined, HoldoutScore, Result, TrialResult, Winner

PLAIN_WIDTH = 160  # no wrapping by a terminal's width where there is no terminal
SECONDS_BETWEEN_LINES = 10.0


def console() -> Console:
    """Standard output as it is now: tests and notebooks exchange it."""
    return Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH, highlight=False, soft_wrap=True)


def say(text: str, style: str = "") -> None:
    """One line."""
    console().print(escape(text), style=style or None)


def say_notes(title: str, notes: tuple[str, ...]) -> None:
    """A heading and a line for each thing that was found out."""
    say(title, "bold")
    for note in notes:
        say(f"  - {note}")


def say_ensemble(combined: Combined, winner: Winner, metric: str) -> None:
    """Who is in the ensemble, how it scored beside the best trial alone, and which of the two is the final model."""
    if not combined.members:
        say(
            "no ensemble: it needs two folds, and trials judged on all rows and within ensemble.megabytes and "
            "ensemble.milliseconds",
            "yellow",
        )
        return
    members = sorted(combined.members, key=lambda member: -member.weight)
    of_all = dict.fromkeys(combined.whole, " (of all rows)")
    numbered = [(m.proposal.number, m) for m in members]
    who = ", ".join(f"trial {n} {m.proposal.family} {m.weight:.3g}{of_all.get(n, '')}" for n, m in numbered)
    time_ = "" if combined.milliseconds is None else f"; {combined.milliseconds:.0f} ms per 1,000 rows on one core here"
    left_out = f"; without {', '.join(map(str, combined.left_out))}, for want of time" if combined.left_out else ""
    say(f"ensemble of {len(members)} among {combined.n_candidates} trials{left_out}: {who}{time_}", "bold")
    alone = "search.seconds did not pay for its models" if combined.is_cut else "not better"
    verdict = "it is the final model" if combined.trained else f"{alone}, so the best trial is the final model"
    n = len(combined.folds)
    over = "over the folds" if n == len(winner.folds) > 1 else f"estimated from {n} fold{'s' * (n > 1)}"
    each = "each by weights of the other folds" if n > 1 else "each fifth of its rows by weights of the others"
    score = f"{_number(combined.mean)} ± {_number(combined.standard_error, 2)}"
    say(
        f"  - {metric} {score} {over}, {each} (by its own, too good: {_number(combined.chosen_at)}); "
        f"best trial {_number(winner.mean)}, chosen likewise {_number(combined.alone)}: {verdict}"
    )


class TrialProgress:
    """Trials told, the best score so far, and the time left at the pace so far (`seconds`: at most)."""

    def __init__(self, n_trials: int, metric: str, seconds: float | None) -> None:
        self._n_trials = n_trials
        self._metric = metric
        self._seconds = seconds
        self._n_done = 0
        self._n_reused = 0
        self._best: TrialResult | None = None
        self._n_saved = 0
        self._begun = self._last_line = time.monotonic()
        self._bar: Progress | None = None
        self._is_over = False

    def __enter__(self) -> Self:
        if sys.stdout.isatty():
            columns = (
                TextColumn("trials"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("{task.fields[note]}"),
            )
            self._bar = Progress(*columns, console=console(), transient=True)
            self._bar.start()
            self._task = self._bar.add_task("trials", total=self._n_trials, note="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over = True
        if self._bar is not None:
            self._bar.stop()

    def advance(self, best: TrialResult | None, n_saved: int, *, is_reused: bool) -> None:
        """One more trial is told; `best` is the best so far, `n_saved` the folds that racing saved."""
        self._n_done += 1
        self._n_reused += is_reused
        self._best = best
        self._n_saved = n_saved
        if self._bar is not None:
            self._bar.update(self._task, completed=self._n_done, note=self._note())
        elif time.monotonic() - self._last_line > SECONDS_BETWEEN_LINES and self._n_done < self._n_trials:
            self._last_line = time.monotonic()
            say(self.said())

    def said(self) -> str:
        return f"trial {self._n_done} of {self._n_trials}, {self._note()}"

    def _note(self) -> str:
        best = "no score yet" if self._best is None else f"best {self._metric} {_with_error(self._best)}"
        best += f", {self._n_saved} folds saved by racing" * bool(self._n_saved)
        n_run = self._n_done - self._n_reused
        if not n_run or self._is_over:
            return best
        passed = time.monotonic() - self._begun
        left = passed / n_run * (self._n_trials - self._n_done)
        if self._seconds is not None:
            left = min(left, max(0.0, self._seconds - passed))
        return f"{best}, about {left:.0f} s left"


def summary(result: Result, page_hint: str) -> None:
    """The table at the end, and where to look."""
    out = console()
    metric, cv = result.metric, result.cv
    if result.ensemble is not None and result.ensemble["is_used"]:
        cv = result.ensemble["cv"]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading, justify in (
        ("metric", "left"),
        ("holdout", "right"),
        ("95 % interval", "right"),
        ("constant", "right"),
        ("linear", "right"),
        ("folds", "right"),
    ):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]  # a Literal of rich
    for name, score in sorted(result.holdout.items(), key=lambda item: item[0] != metric):
        folds = _and_error(cv["mean"], cv["se"]) if name == metric else ""
        zeros = _number(score.baseline), _number(score.linear)
        table.add_row(name, _number(score.value), _ends(score), *zeros, folds)
    out.print(table)
    seconds = result.seconds
    say(
        f"model {result.model_name} version {result.model_version} ({result.model_uri}); "
        f"{seconds.total:.0f} s: {seconds.start_up:.0f} s start-up, {seconds.search:.0f} s search, "
        f"{seconds.fit:.0f} s final fit"
    )
    for page, where in (("report", result.report), ("MLflow", result.mlflow_url), ("Prefect", result.prefect_url)):
        if where:
            say(f"{page:<9}{where}")
    if page_hint:
        say(page_hint, "dim")


def runs(rows: Sequence[tuple[str, Result | None, str]]) -> None:
    """One line per run of a multirun; of one that failed, why."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("run", "metric", "folds", "holdout", "95 % interval", "seconds", "model"):
        table.add_column(heading)
    for name, result, error in rows:
        if result is None:
            table.add_row(name, f"failed: {escape(error)}", style="red")
            continue
        score = result.holdout[result.metric]
        table.add_row(
            name,
            result.metric,
            _and_error(result.cv["mean"], result.cv["se"]),
            _number(score.value),
            _ends(score),
            f"{result.seconds.total:.0f}",
            f"{result.model_name} {result.model_version}",
        )
    console().print(table)


def comparison(made: Comparison, page_hint: str) -> None:
    """One line per choice, which of them can't be told from the best, and where to look."""
    out = console()
    table = Table(box=None, pad_edge=False, header_style="bold")
    choice, *others = headings(made)
    table.add_column(choice)
    for heading in others:
        table.add_column(heading, justify="right")
    for one in made.choices:
        if one.error:
            continue
        table.add_row(*(escape(cell) for cell in cells(made, one)))
    out.print(table)
    say(f"in brackets 95 % intervals; of the folds ({made.n_folds}), with what they share taken into account")
    for failed in made.failed:
        say(f"{failed.choice} failed: {failed.error}", "red")
    if made.best is not None:
        say(verdict(made), "bold")
    for page, where in (("plot", made.plot), ("report", made.report), ("MLflow", made.mlflow_url)):
        if where:
            say(f"{page:<9}{where}")
    if page_hint:
        say(page_hint, "dim")


def headings(made: Comparison) -> list[str]:
    """Of the table of a comparison."""
    return ["choice", f"{made.metric} of the folds", "less the best's", "holdout", "fold fits", "seconds"]


def cells(made: Comparison, one: Standing) -> list[str]:
    """The line of one choice in that table; of one that failed, why."""
    if one.cv is None or one.holdout is None:
        return [one.choice, f"failed: {one.error}"]
    less = "best" if one.choice == made.best else "" if one.difference is None else _with_ends(one.difference, 2)
    less = "the same" if less == "0 (0 to 0)" else less
    return [one.choice, _with_ends(one.cv), less, _with_ends(one.holdout), f"{one.fold_fits:,}", f"{one.seconds:.1f}"]


def verdict(made: Comparison) -> str:
    """Which choice is the best, and which others may be as good."""
    same = ", ".join(made.indistinguishable)
    others = f"not distinguishable from it: {same}" if same else "it is better than every other that it was paired with"
    return f"best: {made.best}; {others}"


def climb(made: Climb) -> None:
    """One line per rung, which one is taken and why."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    strategy, *others = climb_headings(made)
    table.add_column(strategy)
    for heading in others:
        table.add_column(heading, justify="right")
    for one in made.reached:
        table.add_row(*map(escape, climb_cells(made, one)), style="bold" if one.strategy == made.chosen else "")
    console().print(table)
    say(f"in brackets 95 % intervals; of the folds ({made.n_folds}), with what they share taken into account")
    for line in passed_by(made):
        say(line, "dim")
    say(climb_verdict(made), "bold")


def passed_by(made: Climb) -> list[str]:
    """The rungs that were passed by, those of one reason together."""
    reasons: dict[str, list[str]] = {}
    for one in made.rungs:
        if one.error:
            reasons.setdefault(one.error.removeprefix(f"strategy={one.strategy}: "), []).append(one.strategy)
    return [f"{', '.join(names)}: {reason}" for reason, names in reasons.items()]


def climb_headings(made: Climb) -> list[str]:
    """Of the table of a climb."""
    metric = made.metric
    costs = [] if made.per_hour is None else [f"saved, {made.unit}" if made.unit else "saved"]
    return [
        "strategy", f"{metric} of the folds", "less the best's", "training (gap)", "source", "trained", "seconds", "MB",
        "saved, s", *costs,
    ]  # fmt: skip


def climb_cells(made: Climb, one: Rung) -> list[str]:
    """The line of a rung in that table."""
    assert one.score is not None
    less = "best" if one.difference is None else _with_ends(one.difference, 2)
    saved = made.saving(one)
    cells = [
        one.strategy, _with_ends(one.score), less,
        f"{_number(one.training, 4)} ({_number(gap(made.metric, one), 2)})", _kept(one), f"{one.n_trained:,}",
        f"{one.seconds:.1f}", f"{one.megabytes:,.0f}", "" if saved is None else f"{saved:.1f}",
    ]  # fmt: skip
    if made.per_hour is None:
        return cells
    return [*cells, "" if saved is None else f"{saved / 3600 * made.per_hour:.2g}"]


def climb_verdict(made: Climb) -> str:
    """Which rung is taken and why, and which other one forgets less."""
    if made.best == made.chosen:
        verdict = f"chosen: {made.chosen}, the best, and no cheaper one is within one standard error of it"
    else:
        verdict = (
            f"chosen: {made.chosen}, in the order of strategy.rungs, from cheap to dear, the first within one standard "
            f"error of the best ({made.best})"
        )
    if (other := made.keeps_more) is None:
        return verdict
    return (
        f"{verdict}. {other.strategy} keeps more of the source ({_kept(other)}) and may be as good: "
        f"strategy={other.strategy}"
    )


def _kept(one: Rung) -> str:
    """The metric on the source before and after."""
    return "not measurable" if one.kept is None else f"{_number(one.kept.before, 4)} > {_number(one.kept.after, 4)}"


def _with_ends(given: Interval | HoldoutScore, digits: int = 4) -> str:
    """A number with the ends of its interval, where it has one."""
    if given.low != given.low:
        return _number(given.value, digits)
    return f"{_number(given.value, digits)} ({_number(given.low, digits)} to {_number(given.high, digits)})"


def _ends(score: HoldoutScore) -> str:
    return "none" if score.low != score.low else f"{_number(score.low)} to {_number(score.high)}"


def _with_error(result: TrialResult) -> str:
    return _and_error(result.score, error_of_mean([fold.value for fold in result.folds]))


def short(value: object) -> str:
    """A hyperparameter's value in few characters."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _and_error(value: float, error: float) -> str:
    """Of one fold there is none."""
    return _number(value) + ("" if error != error else f" ± {_number(error, 2)}")


def _number(value: float, digits: int = 5) -> str:
    """Enough digits to compare by, and never an exponent for what people write out; none of what isn't defined."""
    if value != value:
        return "none"
    return f"{value:,.0f}" if 10_000 <= abs(value) < 1e12 else f"{value:.{digits}g}"
