"""Monitored: what a look at a model came to, on the screen, as a run in MLflow with page and plots, and in Prefect."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact

from flows import screen
from tasks import monitor_run
from tasks.champion import Champion
from tasks.drift import Drift
from tasks.histogram import Histogram
from tasks.observe import OUTPUT, Observed
from tasks.page import Block, Cell, Facts, Page, Picture, Points, Section, Table, Text
from tasks.records import jsonable
from tasks.remedy import Decision, Rules
from tasks.report import write
from tasks.tracking import Tracker

if TYPE_CHECKING:
    from flows.remedying import Begun

STYLES = {"nothing": "green", "finetune": "bold yellow", "search": "bold red"}
MOST_SHOWN = 100
IN_WORDS = {"nothing": "nothing is to be done", "finetune": "fine-tuning is due", "search": "a full search is due"}
HOW = (
    "A column is called drifted where a test says so and the effect is large enough to matter. The test (Kolmogorov "
    "and Smirnov's for numbers, Pearson's chi-square for levels, Fisher's for unseen levels and missing values) is "
    "corrected over all columns by Holm (1979). The effect is the population stability index, less what chance alone "
    "makes of it. Rows are taken for independent of each other."
)


@dataclass(frozen=True)
class Looked:
    """A look at a model, before anything is begun. now: UTC."""

    champion: Champion
    observed: Observed
    decision: Decision
    rules: Rules
    now: datetime

    @property
    def title(self) -> str:
        return f"{self.champion.name} version {self.champion.version}: {IN_WORDS[self.decision.wanted]}"

    @property
    def drifts(self) -> list[Drift]:
        """Of predictions and inputs, those that drifted first, the farthest of them before."""
        evidence = self.observed.evidence
        both = (*evidence.predictions, *evidence.inputs)
        return sorted(both, key=lambda one: (not one.is_drifted, -one.psi))


def reported(looked: Looked, begun: Begun) -> tuple[Tracker, Path]:
    """A run in the experiment of the champion, of the kind `monitor`, with the page, the pictures and all numbers."""
    champion, decision = looked.champion, looked.decision
    tags = {
        "finefold.model": champion.name, "finefold.version": str(champion.version), "finefold.action": decision.action,
        "finefold.wanted": decision.wanted, "mlflow.note.content": markdown(looked, begun),
        "mlflow.source.name": "finefold monitor", "mlflow.source.type": "LOCAL",
    }  # fmt: skip
    tracker = monitor_run.begin(champion, tags, looked.now)
    tracker.metrics(_numbers(looked))
    evidence = looked.observed.evidence
    tracker.json(jsonable({**asdict(decision), **asdict(begun), "evidence": asdict(evidence)}), "monitor.json")
    with tempfile.TemporaryDirectory(prefix="finefold-monitor-") as folder:
        pictures = _pictures(looked, Path(folder))
        tracker.artifacts(Path(folder), "plots")
        page = page_of(looked, begun, pictures, tracker.url)
        made = write(tracker, page, Path(folder) / "report")
    tracker.finish()
    return tracker, made.path


def kept(looked: Looked, begun: Begun, tracker: Tracker) -> None:
    """The same as artifacts of the flow run."""
    create_markdown_artifact(markdown(looked, begun), key="monitor", description="What the monitor saw and decided")
    rows = [
        {"column": one.name, "drifted": one.is_drifted, "psi": round(one.psi, 4), "p, of all columns": one.adjusted,
         "unseen": one.unseen, "missing before": one.missing[0], "missing now": one.missing[1]}
        for one in looked.drifts[:MOST_SHOWN]
    ]  # fmt: skip
    if rows:
        create_table_artifact(rows, key="drift", description="Each column against the champion's training rows")
    create_link_artifact(tracker.url, link_text="MLflow run", key="mlflow-run", description="Page, plots and numbers")


def told(looked: Looked, begun: Begun, report: str, url: str) -> None:
    """On the screen."""
    decision = looked.decision
    screen.say(f"{looked.title}: {decision.reason}", STYLES[decision.action])
    if begun.said:
        screen.say(begun.said)
    for note in looked.observed.notes:
        screen.say(f"  - {note}")
    screen.say(f"looked at {looked.observed.of}")
    screen.say(f"report   {report}")
    screen.say(f"MLflow   {url}")


def markdown(looked: Looked, begun: Begun) -> str:
    rows = [
        f"| {_escaped(one.name)} | {'**drifted**' if one.is_drifted else ''} | {one.psi:.3f} | {one.adjusted:.2g} "
        f"| {one.unseen:.1%} | {one.missing[0]:.1%} to {one.missing[1]:.1%} |"
        for one in looked.drifts[:20]
    ]
    head = ["| column | | PSI | p, of all columns | unseen | missing |", "|---|---|---|---|---|---|"] if rows else []
    said = [f"- {text}" for text in (begun.said, *looked.observed.notes) if text]
    lines = [f"**{looked.title}**", "", looked.decision.reason, "", *said, "", f"Looked at {looked.observed.of}.", ""]
    return "\n".join([*lines, *head, *rows])


def _escaped(name: str) -> str:
    return re.sub(r"([|<>*_`\[\]])", r"\\\1", " ".join(name.split()))


def page_of(looked: Looked, begun: Begun, pictures: Sequence[Path], url: str) -> Page:
    decision, observed = looked.decision, looked.observed
    rows = f"{observed.before.n_rows:,}" if observed.before else "unknown"
    facts = [
        ("Decision", decision.action), ("Reason", decision.reason), ("Begun", begun.said or "nothing"),
        ("Looked at", observed.of), ("Rows trained on", rows),
        ("At", f"{looked.now:%Y-%m-%d %H:%M} UTC"),
    ]  # fmt: skip
    blocks: list[Block] = [Facts(facts), *([Points(observed.notes)] if observed.notes else [])]
    sections = [Section("decision", "Decision", blocks, in_card=len(blocks))]
    if observed.evidence.decay is not None:
        said = f"{observed.evidence.decay.in_words()}."
        sections.append(Section("score", "Score", [Text(said[0].upper() + said[1:])], in_card=1))
    if looked.drifts:
        shown = [Picture(path, alt) for path, alt in zip(pictures, ("Drift of each column", "Columns"), strict=False)]
        sections.append(Section("drift", "Drift", [Text(HOW), *shown, _table(looked.drifts)], in_card=1))
    return Page(f"Monitor of {looked.champion.name}", looked.title, (), sections, [("MLflow", url)])


def _table(drifts: Sequence[Drift]) -> Table:
    rows = [
        [one.name, Cell("drifted", "bad") if one.is_drifted else "", f"{one.psi:.3f}", f"{one.p:.2g}",
         f"{one.adjusted:.2g}", f"{one.unseen:.1%}", f"{one.missing[0]:.1%}", f"{one.missing[1]:.1%}"]
        for one in drifts[:MOST_SHOWN]
    ]  # fmt: skip
    head = ("column", "", "PSI", "p", "p, of all columns", "unseen", "missing before", "missing now")
    note = f"and {len(drifts) - MOST_SHOWN:,} more, in monitor.json" if len(drifts) > MOST_SHOWN else ""
    return Table("Each column against the rows that the model was trained on", head, rows, "llrrrrrr", note)


def _numbers(looked: Looked) -> dict[str, float]:
    evidence = looked.observed.evidence
    found: dict[str, float] = {"rows": evidence.n_rows, "columns": len(evidence.inputs)}
    found["columns_drifted"] = sum(one.is_drifted for one in evidence.inputs)
    found |= {re.sub(r"[^\w\-. :/]", ":", f"psi.{one.name}"): one.psi for one in looked.drifts[:MOST_SHOWN]}
    if (decay := evidence.decay) is not None:
        found |= {
            decay.metric: decay.value, f"{decay.metric}_low": decay.low, f"{decay.metric}_high": decay.high,
            f"{decay.metric}_before": decay.before, "lost": decay.lost, "lost_low": decay.lost_low,
            "lost_high": decay.lost_high, "labels": decay.n_rows,
        }  # fmt: skip
    return found


def _pictures(looked: Looked, folder: Path) -> list[Path]:
    before, now = looked.observed.before, looked.observed.now
    if before is None or now is None or not looked.drifts:
        return []
    from tasks.plot import Drifted, draw_drift  # matplotlib takes a second to import

    lines = {"drifted": looked.rules.psi.drifted, "alarm": looked.rules.psi.alarm}
    sides: list[Mapping[str, Histogram]] = [
        {**{one.name: one for one in side.columns}, **{OUTPUT + one.name: one for one in side.predictions}}
        for side in (before, now)
    ]
    return draw_drift(folder, Drifted(looked.drifts, sides[0], sides[1], lines))
