"""The report of a run as a file: it loads nothing, says all that the run has, and believes no name."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from paged import NAMES, PICTURES, full, values

from tasks.page import SECTIONS, Page, Table, Values, card_of, html_of, page_of
from tasks.records import FoldScore, HoldoutScore, Problem, Proposal, TrialResult
from tasks.ruling import Ruling
from tasks.verdict import Finding, Number, Verdict

OF_ANY_RUN = ["scores", "failures", "features", "model", "data", "folds", "search", "learning", "reproduce"]


class Read(HTMLParser):
    """All tags with their attributes, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def every(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Values:
    return full(tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def page(whole: Values) -> Page:
    return page_of(whole)


@pytest.fixture(scope="module")
def read(page: Page) -> Read:
    return Read(html_of(page))


def answer(given: Values, n: int) -> tuple[str, str]:
    found = page_of(given).answers[n]
    return found.tone, found.answer


def test_a_run_that_has_it_all_has_every_section_and_no_fault(page: Page) -> None:
    assert [section.name for section in page.sections] == [*list(SECTIONS)[:-1], "ladder", "reproduce"]
    assert page.faults == []


def test_what_a_run_does_not_have_is_left_out(tmp_path: Path) -> None:
    plain = page_of(values(tmp_path))
    assert [section.name for section in plain.sections] == OF_ANY_RUN
    assert plain.faults == []


def test_the_file_loads_nothing_and_only_pages_of_servers_are_linked(read: Read) -> None:
    sources = [value for _, attributes in read.tags for key, value in attributes.items()
               if key in ("src", "srcset", "data", "poster", "action", "background") and value]  # fmt: skip
    assert len(sources) == len(PICTURES) + 1
    assert all(source.startswith("data:image/") for source in sources)
    links = [attributes["href"] or "" for attributes in read.every("a")]
    assert [link for link in links if not link.startswith("#")] == [
        "http://127.0.0.1:5000/#/run", "http://127.0.0.1:4200/runs",
    ]  # fmt: skip
    assert not {"script", "link", "iframe", "object", "embed", "base", "form"} & {tag for tag, _ in read.tags}


def test_the_style_loads_nothing_either(page: Page) -> None:
    style = html_of(page).partition("<style>")[2].partition("</style>")[0]
    assert "@media print" in style
    assert not re.search(r"url\(|@import|https?:", style)


def test_a_name_is_shown_and_never_becomes_a_part_of_the_page(read: Read, page: Page) -> None:
    assert not read.every("script")
    assert not read.every("b")
    assert all(name in read.text for name in NAMES)
    card = card_of(page)
    assert "<" not in card.replace("my data.csv", "")
    assert r"a\|b \`c\` \*d\*" in card_of(page_of_columns(page))


def page_of_columns(page: Page) -> Page:
    """With the table of the columns in the card too."""
    sections = [replace(one, in_card=len(one.blocks)) if one.name == "data" else one for one in page.sections]
    return replace(page, sections=sections)


def test_every_link_within_the_page_has_its_target(read: Read) -> None:
    targets = {attributes["id"] for _, attributes in read.tags if "id" in attributes}
    assert {str(one["href"])[1:] for one in read.every("a") if str(one["href"]).startswith("#")} <= targets


def test_pictures_have_words_and_tables_have_headers_for_those_who_do_not_see_them(read: Read, page: Page) -> None:
    assert all(image["alt"] and image["width"] and image["height"] for image in read.every("img"))
    assert all(header["scope"] in ("col", "row") for header in read.every("th"))
    assert len(read.every("caption")) == len(read.every("table")) > 10
    assert all("aria-hidden" in one for one in read.every("svg"))
    assert read.every("html")[0]["lang"] == "en"


def test_the_card_has_the_numbers_of_the_report_and_no_others(page: Page, read: Read) -> None:
    card = card_of(page)
    numbers = set(re.findall(r"[−\d][\d,.e−]*\d", card))
    assert len(numbers) > 30
    shown = read.text + "".join(str(attributes) for attributes in read.every("pre"))
    assert {number for number in numbers if number not in shown} == set()


def test_pictures_that_are_too_large_are_named_and_the_file_stays_small(tmp_path: Path) -> None:
    made = values(tmp_path)
    noise = np.random.default_rng(0).bytes(2_000_000)
    for name in ("confusion_matrix", "search_history", "fold_scheme"):
        path = made.plots / f"{name}.png"
        path.write_bytes(path.read_bytes() + noise)
    html = html_of(page_of(made))
    assert len(html) < 3_000_000
    assert "confusion_matrix.png under plots/" in html


def test_many_trials_columns_classes_and_long_names_leave_the_file_small(tmp_path: Path) -> None:
    made = values(tmp_path)
    columns = [{"name": f"column {n} {'x' * 500}", "kind": "text", "parts": []} for n in range(5_000)]
    (tmp_path / "prepared" / "schema.json").write_text(json.dumps(columns))
    classes = {f"class {n}": n for n in range(10_000)}
    (tmp_path / "prepared" / "quality.json").write_text(json.dumps({"classes": classes}))
    one = TrialResult(Proposal(0, "lightgbm", {"leaves": "x" * 5_000}), (FoldScore(0, 0.5, 0.5, 1, 1.0),), seconds=1.0)
    parts = {f"part {n}": {"rows": Number(n)} for n in range(5_000)}
    verdict = Verdict.of([Finding("slices", "told", "y" * 1_000_000, {}, parts)])
    made = replace(made, results=[one] * 20_000, verdict=verdict)
    assert len(html_of(page_of(made))) < 500_000


def test_a_section_that_fails_says_so_in_its_place_and_the_others_are_there(tmp_path: Path) -> None:
    made = values(tmp_path)
    (tmp_path / "prepared" / "quality.json").write_text("{torn")
    page = page_of(made)
    assert [section.name for section in page.sections] == OF_ANY_RUN
    (fault,) = page.faults
    assert fault.startswith("The section data could not be made: json.decoder.JSONDecodeError")
    assert fault in Read(html_of(page)).text


def test_a_model_is_better_than_a_baseline_only_where_its_whole_interval_is(tmp_path: Path) -> None:
    made = values(tmp_path)

    def scored(value: float, low: float, high: float, linear: float) -> Values:
        score = HoldoutScore(value, low, high, 0.5, linear)
        return replace(made, evaluation=replace(made.evaluation, scores={"roc_auc": score}))

    assert answer(scored(0.85, 0.81, 0.89, 0.79), 1) == ("good", "Yes")
    assert answer(scored(0.85, 0.81, 0.89, 0.82), 1) == ("warn", "Not surely than a linear model")
    assert answer(scored(0.85, 0.81, 0.89, 0.86), 1) == ("warn", "Not than a linear model")
    assert answer(scored(0.45, 0.41, 0.49, 0.4), 1) == ("bad", "Not than a constant prediction")
    nan = float("nan")
    assert answer(scored(0.85, nan, nan, nan), 1) == ("good", "Yes")
    assert page_of(scored(0.85, nan, nan, nan)).answers[0].reason.endswith("too few for an interval")


def test_of_a_metric_that_is_better_below_the_worse_end_is_the_upper_one(tmp_path: Path) -> None:
    made = replace(values(tmp_path, Problem("regression", "price", ())), metric="rmse")
    for high, tone in ((45_900.0, "good"), (47_000.0, "warn")):
        score = HoldoutScore(45_131.2, 44_300.0, high, 80_000.0, 46_000.0)
        scored = replace(made, evaluation=replace(made.evaluation, scores={"rmse": score}))
        assert answer(scored, 1)[0] == tone
    assert page_of(scored).answers[0].answer == "rmse 45,131"


def test_a_failed_check_a_ruling_or_nothing_decides_whether_it_may_be_used(tmp_path: Path, whole: Values) -> None:
    made = values(tmp_path)
    passed = Verdict.of([Finding("overfitting", "passed", "", {})])
    assert answer(made, 2) == ("warn", "Nothing judged it")
    assert answer(replace(made, verdict=passed), 2) == ("good", "The checks passed")
    assert answer(replace(made, verdict=passed, promotion=whole.promotion), 2) == ("warn", "The champion stays")
    first = Ruling("first", "there was no champion")
    assert answer(replace(made, verdict=passed, promotion=first), 2) == ("good", "Yes, the champion")
    assert answer(whole, 2) == ("bad", "Not as it is")


def test_serious_remarks_come_first_and_a_repeated_look_at_the_holdout_is_one(page: Page) -> None:
    remarks = [remark for _, remark in page.remarks]
    assert [remark.tone for remark in remarks] == ["bad", *5 * ["warn"]]
    assert any(remark.text.startswith("This holdout has judged 3 models") for remark in remarks)


def test_a_score_has_as_many_decimals_as_its_interval_bears(page: Page) -> None:
    (table,) = [block for block in page.sections[0].blocks if isinstance(block, Table)]
    assert [*table.rows[0][2:4], *table.rows[0][5:]] == ["0.851", "0.812 to 0.890", "0.790", "0.500"]
    assert [*table.rows[1][2:4], *table.rows[1][5:]] == ["0.41", "0.36 to 0.47", "0.50", "0.69"]
