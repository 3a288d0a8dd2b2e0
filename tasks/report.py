"""Report: one HTML file of a run and a shorter model card, from the same values, beside the pictures they show."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import url2pathname

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.page import Page, Values, card_of, html_of, page_of
from tasks.store import write_file
from tasks.tracking import Tracker

FOLDER, REPORT, CARD = "report", "report.html", "model_card.md"


@dataclass(frozen=True)
class Reported:
    """The report's file, the model card as text, and why sections could not be made."""

    path: Path
    card: str
    faults: tuple[str, ...]


@task(name="report", task_run_name="report", cache_policy=NO_CACHE, persist_result=False)
def report(tracker: Tracker, values: Values, folder: Path) -> Reported:
    """Both files, written into the folder and logged to MLflow under `report/`."""
    return write(tracker, page_of(values), folder)


def write(tracker: Tracker, page: Page, folder: Path) -> Reported:
    """Of any page; the path is of MLflow's own file, where its artifacts lie in a folder of this machine."""
    card = card_of(page)
    for name, text in ((REPORT, html_of(page)), (CARD, card)):
        _write_text(folder / name, text)
    tracker.artifacts(folder, FOLDER, only=(REPORT, CARD))
    place = urlparse(tracker.client.get_run(tracker.run_id).info.artifact_uri)
    logged = Path(url2pathname(place.path)) / FOLDER / REPORT
    is_here = place.scheme in ("", "file") and logged.exists()
    return Reported(logged if is_here else folder / REPORT, card, tuple(page.faults))


def _write_text(path: Path, text: str) -> None:
    def fill(beside: Path) -> None:
        beside.write_text(text, encoding="utf-8")

    write_file(path, fill)
