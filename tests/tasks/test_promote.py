"""A registered version against the champion: scored anew on today's holdout, judged, and written down."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pandas as pd
import pytest
from judged import Sums

from flows.build import build
from flows.config import compose
from tasks import aliases, seen, tracking
from tasks import model as models
from tasks.aliases import Standing
from tasks.check import Case
from tasks.loss.mse import MSE
from tasks.promote import promote
from tasks.promotion import Contest, Promotion
from tasks.records import Footprint, Prepared, Problem, Registered, Roles, Split
from tasks.refusal import Refusal
from tasks.registry import GATE_TAG
from tasks.rescore import DATA_TAG, SPLIT_TAG, Challenger
from tasks.row_hash import row_hashes
from tasks.ruling import Ruling
from tasks.schema import Column, Schema
from tasks.seen import Identity
from tasks.tracking import Tracker
from tasks.workspace import Experiment

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

NUMBER = Problem("regression", "y", ())
NO_ROLES = Roles(None, (), (), (), (), (), None, None, None, None, False)
X = Column("x", "numeric", "double")
N = 1_500


@dataclass(frozen=True)
class Place:
    """A registry, and a table of which each version has a holdout of its own."""

    root: Path
    client: MlflowClient
    uri: str

    def tracker(self) -> Tracker:
        experiment = tracking.experiment_of(self.client, self.uri, "finefold", self.root / "mlruns")
        return Tracker(self.client, self.uri, experiment, self.client.create_run(experiment).info.run_id, False)

    def version(
        self, name: str, model: Sums, *, seed: int = 0, columns: tuple[Column, ...] = (X,), problem: Problem = NUMBER,
        tags: Mapping[str, str] = MappingProxyType({}),
    ) -> Version:
        """Registered, and not yet promoted."""
        folder = self.root / name / str(len(list((self.root / name).glob("*"))))
        prepared, split, logged = folder / "prepared", folder / "split", folder / "logged"
        made = logged / "artifacts" / "model"
        for one in (prepared, split, made):
            one.mkdir(parents=True)
        random = np.random.default_rng(0)
        rows = pd.DataFrame(random.normal(size=(N, 1)), columns=["x"])
        y = rows["x"] + random.normal(size=N)
        hashes = row_hashes(rows, seed)
        is_held = hashes < np.uint64(2**64 // 3)
        (prepared / "schema.json").write_text(Schema(columns).to_json())
        Identity.of(NO_ROLES, ["x"]).write(prepared)
        roles = pd.DataFrame({"target": y, "hash": hashes})
        for side, part in (("train", ~is_held), ("holdout", is_held)):
            rows[part].to_parquet(split / f"{side}_features.parquet", index=False)
            file = "train_roles" if side == "train" else "holdout_labels"
            roles[part].to_parquet(split / f"{file}.parquet", index=False)
        np.save(split / "is_held.npy", np.packbits(is_held))
        models.save(model, made)
        for file, text in (("schema.json", Schema(columns).to_json()), ("problem.json", json.dumps(asdict(problem)))):
            (made / file).write_text(text)
        table = Prepared(str(prepared), "d", "t", problem, N, 1, 1, False, False, ())
        n_held = int(is_held.sum())
        seen.write(made, table, Split(str(split), f"s{seed}", N - n_held, n_held, 2, 2.0, ()), seed, None)
        predicted = folder / "predictions.parquet"
        pd.DataFrame({"prediction": model.predict(rows[is_held])}).to_parquet(predicted)
        experiment = Experiment(
            digest=str(folder), folder="", split=str(split), problem=NUMBER, families={}, loss=MSE(), metric="rmse",
            base=None, seed=0, n_folds=2, growth=2.0, n_threads=1, keep_models=False,
        )  # fmt: skip
        tags = {DATA_TAG: "d", SPLIT_TAG: f"s{seed}", GATE_TAG: "passed", **tags}
        case = Case(experiment, made, predicted, None, ())
        challenger = Challenger(made, case, prepared, seed, tags, Footprint(1.0, 1.0), ("judged",))
        if not self.client.search_registered_models(f"name='{name}'"):
            self.client.create_registered_model(name)
        number = int(self.client.create_model_version(name, str(logged), tags=tags).version)
        if tags[GATE_TAG] != "failed":
            self.client.set_registered_model_alias(name, "challenger", str(number))
        return Version(self, Registered(f"models:/{name}/{number}", name, number), challenger, self.tracker(), logged)


@dataclass(frozen=True)
class Version:
    place: Place
    registered: Registered
    challenger: Challenger
    tracker: Tracker
    logged: Path

    def promoted(self, rule: Promotion | None = None) -> Ruling:
        rule = rule or build(compose([]).config.promotion, "promotion")
        return promote.fn(rule, self.tracker, self.registered, self.challenger)

    @property
    def standing(self) -> Standing:
        return aliases.standing(self.place.client, self.registered.model_name)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    root = tmp_path_factory.mktemp("promote")
    client, uri = tracking.connect(None, root / "mlruns")
    return Place(root, client, uri)


def test_the_first_version_is_the_champion_and_a_better_one_takes_its_place(place: Place) -> None:
    first = place.version("better", Sums(1.0))
    assert first.promoted().state == "first"
    assert first.standing == Standing(1, None, None)
    second = place.version("better", Sums(0.1))
    ruling = second.promoted()
    assert (ruling.state, ruling.champion, ruling.left_out) == ("promoted", 1, 0)
    assert second.standing == Standing(2, None, 1)
    version = place.client.get_model_version("better", "2")
    assert (version.tags["finefold.promotion"], version.tags["finefold.promotion.against"]) == ("promoted", "1")
    assert "| score passed | better by |" in version.description
    logged = place.client.get_run(second.tracker.run_id).data
    better = ruling.findings[0].numbers["better_by"]
    assert logged.metrics["promotion.score.better_by_low"] == pytest.approx(better.low)
    assert logged.metrics["promotion.rows"] == ruling.rows
    assert second.promoted() == ruling  # the same run once more, as after a kill


def test_a_worse_one_stays_the_challenger(place: Place) -> None:
    place.version("worse", Sums(0.0)).promoted()
    worse = place.version("worse", Sums(1.0))
    assert worse.promoted().state == "kept"
    assert worse.standing == Standing(1, 2, None)


def test_rows_that_the_champion_was_trained_on_are_left_out(place: Place) -> None:
    champion = place.version("other holdout", Sums(1.0), seed=1)
    champion.promoted()
    challenger = place.version("other holdout", Sums(0.0), seed=0)
    ruling = challenger.promoted()
    splits = champion.challenger.case.split, challenger.challenger.case.split
    then, now = (pd.read_parquet(split / "holdout_features.parquet") for split in splits)
    both = int(now["x"].isin(then["x"]).sum())
    assert (ruling.rows, ruling.left_out) == (both, len(now) - both)
    assert ruling.promotes


def without_a_file(version: Version) -> None:
    (version.logged / "artifacts" / "model" / "sums.json").unlink()


def without_its_rows(version: Version) -> None:
    (version.logged / "artifacts" / "model" / "seen.json").unlink()


def torn(version: Version) -> None:
    (version.logged / "artifacts" / "model" / "sums.json").write_text("[0.0")


def of_another_package(version: Version) -> None:
    (version.logged / "artifacts" / "model" / "family.json").write_text('{"module": "os", "name": "system"}')


def gone(version: Version) -> None:
    version.logged.rename(version.logged.parent / "elsewhere")


OTHER_COLUMN, AS_TEXT = (X, Column("z", "numeric", "double")), (Column("x", "categorical", "string"),)


@pytest.mark.parametrize(("name", "made", "spoil", "said"), [
    ("gone", {}, gone, "the champion"),  # whether that shows when they are fetched or when they are read
    ("no file", {}, without_a_file, "the champion doesn't load any more"),
    ("torn", {}, torn, "the champion doesn't load any more"),
    ("unsafe", {}, of_another_package, "names the module os; to allow it: allow_packages=[os]"),
    ("unknown rows", {"seed": 1}, without_its_rows, "doesn't tell which rows it was trained on"),
    ("more columns", {"columns": OTHER_COLUMN}, None, "the champion asks for columns that today's lacks: z"),
    ("other kind", {"columns": AS_TEXT}, None, "columns are read differently: x (categorical, today numeric)"),
    ("other problem", {"problem": Problem("binary", "y", ("no", "yes"))}, None,
     "the champion predicts y as binary with the classes no, yes, today's model y as regression"),
])  # fmt: skip
def test_a_champion_that_can_not_be_compared_stays_and_it_is_said_why(
    place: Place, name: str, made: dict[str, object], spoil: Callable[[Version], None] | None, said: str
) -> None:
    champion = place.version(name, Sums(1.0), **made)  # type: ignore[arg-type]
    champion.promoted()
    if spoil is not None:
        spoil(champion)
    challenger = place.version(name, Sums(0.0))
    ruling = challenger.promoted()
    assert ruling.state == "not_comparable"
    assert said in ruling.reason
    assert challenger.standing == Standing(1, 2, None)


def test_one_that_does_not_tell_its_rows_is_compared_on_the_very_same_split(place: Place) -> None:
    champion = place.version("as before", Sums(1.0))
    champion.promoted()
    without_its_rows(champion)
    assert place.version("as before", Sums(0.0)).promoted().state == "promoted"


def test_what_failed_its_checks_or_was_rolled_back_is_not_promoted(place: Place) -> None:
    place.version("failed", Sums(1.0)).promoted()
    failed = place.version("failed", Sums(0.0), tags={GATE_TAG: "failed"})
    assert failed.promoted().reason == "it failed its checks"
    third = place.version("failed", Sums(0.0))
    assert third.promoted().promotes
    aliases.roll_back(place.client, place.uri, "failed")
    assert "it was rolled back" in third.promoted().reason
    assert third.standing.champion == 1


def test_with_never_the_first_version_stays_a_challenger_and_with_always_a_worse_one_is_promoted(place: Place) -> None:
    rules = [compose([f"promotion={rule}"]).config.promotion for rule in ("never", "always")]
    never, always = (build(rule, "promotion") for rule in rules)
    first = place.version("by rule", Sums(0.0))
    assert not first.promoted(never).promotes
    assert first.standing == Standing(None, 1, None)
    assert first.promoted(always).promotes
    assert place.version("by rule", Sums(9.0)).promoted(always).promotes
    assert first.standing == Standing(2, None, 1)


@dataclass
class Overtaken:
    """A rule that promotes, while which somebody moves the champion as often as is said."""

    client: MlflowClient
    times: int
    name: ClassVar[str] = "overtaken"
    compares: ClassVar[bool] = False

    def rule(self, contest: Contest) -> Ruling:
        if self.times > 0:
            self.times -= 1
            other = "2" if contest.champion == 1 else "1"
            self.client.set_registered_model_alias("overtaken", "champion", other)
        return Ruling("promoted", "", contest.champion)


def test_a_champion_that_was_moved_meanwhile_makes_the_decision_anew(place: Place) -> None:
    place.version("overtaken", Sums(1.0)).promoted()
    place.version("overtaken", Sums(1.0))
    third = place.version("overtaken", Sums(0.0))
    with pytest.raises(Refusal, match="moved by somebody else 3 times"):
        third.promoted(Overtaken(place.client, 3))
    place.client.set_registered_model_alias("overtaken", "champion", "1")
    assert third.promoted(Overtaken(place.client, 1)).champion == 2
    assert third.standing == Standing(3, None, 2)


def test_slices_and_numbers_survive_the_file_that_they_are_kept_in(place: Place) -> None:
    place.version("kept", Sums(1.0)).promoted()
    second = place.version("kept", Sums(0.0))
    labels = second.challenger.prepared.parent / "slices.parquet"
    pd.DataFrame({"town": np.where(np.arange(N) % 2, "x", "y")}).to_parquet(labels)
    case = replace(second.challenger.case, slices=labels)
    ruling = replace(second, challenger=replace(second.challenger, case=case)).promoted()
    parts = next(one.parts for one in ruling.findings if one.check == "slices")
    assert set(parts) == {"town=x", "town=y"}
    assert Ruling.read(second.tracker.read_json("promotion.json")) == ruling
