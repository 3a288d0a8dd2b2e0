"""What a person sees in Prefect's and MLflow's pages of a model that was trained, and trained again from the form."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

sync_api = pytest.importorskip("playwright.sync_api", reason='needs Playwright: pip install "finefold[browser]"')
expect = sync_api.expect

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]  # the first test waits for servers and a whole run

NAME, N_TRIALS = "tumours", 8
SECONDS_OF_A_RUN = 600  # a worker's, on a machine whose cores are all taken
STAGES = ("prepare", "split", "trial-0", "finetune", "evaluate", "judge", "register", "promote", "report")
TYPED, MISTYPED = "search=random", "serch=random"
ALL_FOLDS = "search.racing=null"  # so that each trial has a score to be compared by


@pytest.fixture(scope="module")
def trained(place: Any) -> Any:
    """The first version, by `finefold run`: nothing was there before it, so it is the champion."""
    return place.finefold("run", f"model_name={NAME}", f"search.trials={N_TRIALS}", ALL_FOLDS)


@pytest.fixture(scope="module")
def deployment(place: Any, trained: Any) -> str:
    """The page of a deployment."""
    deployed = place.finefold("deploy", f"model_name={NAME}", "schedule=[train-weekly]", "search.trials=3")
    return str(deployed["deployments"][0]["page"])


@pytest.fixture(scope="module")
def again(new_page: Callable[[], AbstractContextManager[Page]], deployment: str) -> str:
    """The page of a run that the form started with an override, when the run is over: the second version."""
    with new_page() as page:
        start(page, deployment, TYPED)
        expect(page.get_by_text("Completed", exact=True).first).to_be_visible(timeout=SECONDS_OF_A_RUN * 1000)
        return page.url


def fill_in(page: Page, deployment: str, override: str) -> None:
    """Opens a deployment's form and types one override into it."""
    page.goto(deployment)
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_text("Custom run").click()
    page.get_by_role("button", name="Add item").click()
    fields = page.locator("textarea")
    expect(fields).to_have_count(2)  # beside the new item the name of the model; numbers have fields of another kind
    fields.first.fill(override)


def start(page: Page, deployment: str, override: str) -> None:
    """Starts a run from the form and opens its page, to which a button leads that is there for seconds alone. What the
    server, whose SQLite may be busy, or the form does not take is submitted once more, as a person would."""
    fill_in(page, deployment, override)
    for _ in range(10):
        with suppress(sync_api.TimeoutError):
            with page.expect_response(re.compile("create_flow_run$"), timeout=60_000) as answered:
                page.get_by_role("button", name="Submit").click()
            if answered.value.ok:
                number = answered.value.json()["id"]
                page.goto(f"{deployment.partition('/deployments')[0]}/runs/flow-run/{number}")
                return
            page.wait_for_timeout(5_000)
    pytest.fail("the form was not taken")


def artifact(page: Page, trained: Any, key: str) -> None:
    """Opens an artifact of the flow run as one does from its page."""
    page.goto(trained["prefect_url"])
    tab(page, "Artifacts")
    page.get_by_role("link", name=re.compile(rf"\b{key}\b")).first.click()
    expect(page.get_by_text("Show raw data")).to_be_visible()


def tab(page: Page, name: str) -> None:
    page.locator("li.p-tab", has_text=name).click()


def artifacts_in_mlflow(page: Page, trained: Any) -> None:
    page.goto(trained["mlflow_url"])
    without_assistant(page)
    page.get_by_role("tab", name="Artifacts").click()


def without_assistant(page: Page) -> None:
    """MLflow's assistant takes a quarter of each page, in no run's favour."""
    expect(page.get_by_text("MLflow Assistant")).to_be_visible()
    page.get_by_role("button", name="Close").first.click()
    expect(page.get_by_text("Ask questions about")).to_be_hidden()


def test_a_flow_run_shows_its_stages_by_name(page: Page, trained: Any, picture: Callable[[str], None]) -> None:
    page.goto(trained["prefect_url"])
    expect(page.get_by_text("Completed", exact=True).first).to_be_visible()
    expect(page.get_by_text("Finished in state Completed()").first).to_be_visible()
    tab(page, "Task Runs")
    for stage in STAGES:
        expect(page.get_by_role("link", name=stage, exact=True).first).to_be_visible()
    expect(page.locator("canvas").first).to_be_visible()
    picture("prefect-run")


def test_the_best_trials_stand_in_a_table_that_fits(page: Page, trained: Any, picture: Callable[[str], None]) -> None:
    artifact(page, trained, "best-trials")
    rows = page.get_by_role("row")
    expect(rows).to_have_count(1 + N_TRIALS)
    expect(rows.first).to_contain_text("roc_auc")
    expect(rows.nth(1)).to_contain_text(f"{trained['cv']['mean']:.5g}")
    assert "false" not in rows.nth(1).inner_text()
    picture("prefect-artifact")


def test_the_link_among_the_artifacts_opens_the_run_with_its_trials(page: Page, trained: Any) -> None:
    artifact(page, trained, "mlflow-run")
    with page.expect_popup() as opened:
        page.get_by_role("link", name="MLflow run").click()
    expect(opened.value.get_by_text("Finished", exact=True)).to_be_visible()
    expect(opened.value.get_by_role("link", name="trial-1", exact=True)).to_be_visible()


def test_the_card_among_the_artifacts_is_read_as_markdown_and_opens_the_report(page: Page, trained: Any) -> None:
    artifact(page, trained, "report")
    expect(page.get_by_role("table").first).to_be_visible()
    expect(page.get_by_text("|---")).to_have_count(0)
    with page.expect_popup() as opened:
        page.get_by_role("link", name="The report").click()
    expect(opened.value.frame_locator("iframe").get_by_role("heading", name="Scores")).to_be_visible()


def test_the_promotion_is_told_among_the_artifacts(page: Page, trained: Any) -> None:
    artifact(page, trained, "promotion")
    expect(page.get_by_text(f"version 1 of {NAME} is its champion")).to_be_visible()


def test_the_form_says_what_its_fields_mean(page: Page, deployment: str, picture: Callable[[str], None]) -> None:
    fill_in(page, deployment, TYPED)
    expect(page.get_by_text(re.compile("what one would type", re.IGNORECASE))).to_be_visible()
    picture("prefect-form")


def test_a_run_from_the_form_takes_its_override(page: Page, again: str) -> None:
    page.goto(again)
    expect(page.get_by_text("best of 3 trials").first).to_be_visible()
    tab(page, "Task Runs")
    expect(page.get_by_role("link", name="register", exact=True)).to_be_visible()
    tab(page, "Parameters")
    expect(page.get_by_text(TYPED)).to_be_visible()


def test_a_mistyped_override_in_the_form_fails_with_what_a_shell_says(page: Page, deployment: str) -> None:
    start(page, deployment, MISTYPED)
    expect(page.get_by_text("Failed", exact=True).first).to_be_visible(timeout=SECONDS_OF_A_RUN * 1000)
    expect(page.get_by_text("did you mean 'search'?").first).to_be_visible()


def trials_of(page: Page, trained: Any) -> None:
    """Opens the experiment, and the trials of the first run in it."""
    page.goto(re.sub(r"/runs/\w+", "/runs", trained["mlflow_url"]))
    without_assistant(page)
    row(page, "breast_cancer").get_by_role("button").first.click()


def row(page: Page, name: str) -> Locator:
    return page.locator(".ag-row", has=page.get_by_role("link", name=name, exact=True))


def test_the_trials_are_nested_below_their_run(page: Page, trained: Any, picture: Callable[[str], None]) -> None:
    trials_of(page, trained)
    for trial in range(N_TRIALS):
        expect(row(page, f"trial-{trial}")).to_be_visible()
    picture("mlflow-trials")


def test_trials_are_compared_along_parallel_coordinates(
    page: Page, trained: Any, picture: Callable[[str], None]
) -> None:
    trials_of(page, trained)
    for trial in range(N_TRIALS):
        row(page, f"trial-{trial}").get_by_role("checkbox").first.check()
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_text(f"Comparing {N_TRIALS} Runs")).to_be_visible()
    page.get_by_role("combobox").nth(1).click()
    page.get_by_title("cv_roc_auc", exact=True).click()
    page.keyboard.press("Escape")
    expect(page.locator(".axis-title", has_text="cv_roc_auc")).to_be_visible()
    picture("mlflow-compare")


def test_a_plot_is_opened_from_the_artifact_tree(page: Page, trained: Any, picture: Callable[[str], None]) -> None:
    artifacts_in_mlflow(page, trained)
    page.get_by_text("plots", exact=True).click()
    page.get_by_text("search_history.png", exact=True).click()
    plot = page.locator("img[src^=blob]")
    expect(plot.first).to_be_visible()
    assert plot.first.evaluate("image => image.decode().then(() => image.naturalWidth)") > 300
    picture("mlflow-plot")


def test_the_report_is_opened_from_the_artifact_tree(page: Page, trained: Any, picture: Callable[[str], None]) -> None:
    artifacts_in_mlflow(page, trained)
    page.get_by_text("report", exact=True).click()
    page.get_by_text("report.html", exact=True).click()
    frame = page.frame_locator("iframe")
    expect(frame.get_by_role("heading", name="breast_cancer")).to_be_visible()
    expect(frame.get_by_text("Yes, the champion")).to_be_visible()
    picture("mlflow-report")


def test_the_registered_model_has_a_champion_and_a_challenger(
    page: Page, place: Any, again: str, picture: Callable[[str], None]
) -> None:
    page.goto(f"{place.mlflow}/#/models/{NAME}?workflowType=machine_learning")
    without_assistant(page)
    for version, alias in ((1, "champion"), (2, "challenger")):
        expect(page.get_by_role("row", name=re.compile(f"Version {version}"))).to_contain_text(alias)
    expect(page.get_by_text("is the version to use")).to_be_visible()
    picture("mlflow-model")
