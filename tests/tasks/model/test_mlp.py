"""What is peculiar to the multilayer perceptron."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

if find_spec("torch") is None:
    pytest.skip('needs torch: pip install "finefold[neural]"', allow_module_level=True)

import torch
from safetensors.torch import load_file

from flows.build import build
from flows.config import compose
from tasks import metric, model
from tasks.loss.cross_entropy import CrossEntropy
from tasks.loss.mse import MSE
from tasks.model import OutOfTimeError, Training, growth_of_rounds
from tasks.model.mlp import MLP, Fitted
from tasks.records import Problem
from tasks.refusal import Refusal

ROOT = Path(__file__).parents[3]
N = 200
KEY = "model.mlp.hyperparameters"
REGRESSION, BINARY = Problem("regression", "y", ()), Problem("binary", "y", ("no", "yes"))


def mlp(*overrides: str) -> MLP:
    small = (f"{KEY}.epochs=12", "model.mlp.start.batch_size=32", "model.mlp.start.width=16")
    config = compose(["model=mlp", *small, *overrides]).config
    built: MLP = build(config.model["mlp"], "model.mlp")
    return built


def point(it: MLP, **changed: Any) -> dict[str, Any]:
    return {**it.start, **{key: value for key, value in it.hyperparameters.items() if value is not None}, **changed}


def training(problem: Problem = REGRESSION, sizes: tuple[int, ...] = (N // 2, N // 2)) -> Training:
    """Numbers with gaps and levels, some of them in one fold alone; `sizes`: of the folds' validation rows."""
    generator = np.random.default_rng(0)
    X = pd.DataFrame({
        "a": generator.normal(size=N), "b": generator.normal(size=N),
        "level": generator.choice(np.array(list("pqrs"), dtype=object), N),
    })  # fmt: skip
    X.loc[: N // 8, "b"] = np.nan
    X.loc[: N // 6, "level"] = "early"
    y = X["a"].to_numpy() * 2 + (X["level"] == "p").to_numpy() + generator.normal(size=N) / 5
    rows = np.arange(N)
    parts = np.split(rows, np.cumsum(sizes)[:-1])
    folds = [(np.setdiff1d(rows, part), part) for part in parts]
    if problem.is_classification:
        return Training(X, (y > 0).astype(np.float64), None, folds, problem, CrossEntropy(), "roc_auc")
    return Training(X, y, None, folds, problem, MSE(), "rmse")


@pytest.mark.parametrize("problem", [REGRESSION, BINARY])
def test_folds_as_one_are_validated_as_one_by_one(problem: Problem) -> None:
    it, data = mlp(), training(problem)
    workspace = it.workspace(data, None, 1)
    together = it.validate_together(workspace, [1, 0], point(it), 0, lambda curves: None)
    for fold, one in zip([1, 0], together, strict=True):
        alone = it.validate(workspace, fold, point(it), 0)
        assert one.rounds == alone.rounds
        np.testing.assert_allclose(one.prediction, alone.prediction, rtol=2e-3, atol=2e-3)
        np.testing.assert_allclose(one.fitted.predict(data.X), alone.fitted.predict(data.X), rtol=2e-3, atol=2e-3)


def test_which_folds_are_one_is_told_by_shapes() -> None:
    it = mlp("device=cpu")  # on a GPU all are
    workspace = it.workspace(training(), None, 1)

    def are_one(folds: tuple[int, ...] = (0, 1), **changed: Any) -> bool:
        return it.are_one(workspace, point(it, **changed), folds, None)

    assert are_one()
    assert are_one(width=128, batch_size=10**9)  # which is 100 rows, all of a fold
    assert are_one(width=256, batch_size=16)
    assert not are_one(width=256, batch_size=64)
    assert not are_one(folds=(0,))
    uneven = it.workspace(training(sizes=(50, 150)), None, 1)
    assert not it.are_one(uneven, point(it), (0, 1), None)


def test_trials_as_one_are_validated_as_one_by_one() -> None:
    it, data = mlp(), training()
    workspace = it.workspace(data, None, 1)
    trials = [
        point(it), point(it, scaling="standard", learning_rate=0.01, dropout=0.4),
        point(it, weight_decay=0.3, epochs=5, spread=0.1, learning_rate=1e30),
    ]  # fmt: skip
    assert len({it.shape(given) for given in trials}) == 1
    *done, failed = it.validate_trials(workspace, [1, 0], trials, 0, [lambda curves: None] * 3)
    assert isinstance(failed, ValueError)
    for given, together in zip(trials, done, strict=False):
        assert not isinstance(together, Exception)
        alone = it.validate_together(workspace, [1, 0], given, 0, lambda curves: None)
        for one, other in zip(together, alone, strict=True):
            assert one.rounds == other.rounds
            np.testing.assert_allclose(one.prediction, other.prediction, rtol=2e-3, atol=2e-3)
            np.testing.assert_allclose(one.fitted.predict(data.X), other.fitted.predict(data.X), rtol=2e-3, atol=2e-3)


def test_trials_of_one_shape_differ_in_how_they_are_trained_alone() -> None:
    it = mlp("device=cpu")

    def shape(it: MLP = it, **changed: Any) -> Any:
        return it.shape(point(it, **changed))

    assert shape() == shape(learning_rate=0.1, weight_decay=0.5, dropout=0.3, schedule="none", scaling="standard")
    changes: list[dict[str, Any]] = [{"width": 32}, {"layers": 3}, {"batch_size": 16}, {"activation": "relu"}]
    assert len({shape(), *(shape(**changed) for changed in changes)}) == 1 + len(changes)
    assert shape(width=128, batch_size=16) is not None
    assert shape(width=256, batch_size=16) is None  # beyond which nothing is gained on a CPU

    class Own:
        """Nobody knows how it understands a weight decay."""

        name = "own"

    assert shape(replace(it, optimizer=Own())) is None


def test_folds_are_trained_one_by_one_where_the_optimizers_steps_mix_the_numbers_of_a_tensor() -> None:
    class Clipped:
        """By the norm of all gradients, which in a stack would be those of all folds."""

        name, is_elementwise = "clipped", False

        def make(self, parameters: torch.Tensor, learning_rate: float, weight_decay: float) -> torch.optim.Optimizer:
            method = torch.optim.SGD([parameters], lr=learning_rate, weight_decay=weight_decay)

            def clip(*_: Any) -> None:
                torch.nn.utils.clip_grad_norm_([parameters], 0.1)

            method.register_step_pre_hook(clip)
            return method

    it, folds = replace(mlp("device=cpu"), optimizer=Clipped()), (0, 1)
    fast = point(it, learning_rate=0.3)
    workspace = it.workspace(training(), None, 1)
    stacked = it.validate_together(workspace, folds, fast, 0, lambda curves: None)
    assert not it.are_one(workspace, fast, folds, None)
    assert replace(it, optimizer=mlp().optimizer).are_one(workspace, fast, folds, None)
    for fold, together in zip(folds, stacked, strict=True):
        assert np.abs(together.prediction - it.validate(workspace, fold, fast, 0).prediction).max() > 0.01


def test_a_target_far_off_scale_is_learned_as_well_and_reported_in_its_unit() -> None:
    it, data = mlp(), training()
    far = replace(data, y=1e9 + 1e6 * data.y)
    near_by, far_off = (it.validate(it.workspace(one, None, 1), 0, point(it), 0) for one in (data, far))
    np.testing.assert_allclose((far_off.prediction - 1e9) / 1e6, near_by.prediction, rtol=1e-3, atol=1e-3)
    valid = far.folds[0][1]
    assert dict(far_off.curve)[far_off.rounds or 0] == pytest.approx(
        metric.value("rmse", far.y[valid], far_off.prediction), rel=1e-4
    )
    assert metric.value("rmse", far.y[valid], far_off.prediction) < 0.8e6 * data.y.std()


def test_a_constant_target_is_learned() -> None:
    it, data = mlp(), training()
    same = replace(data, y=np.full(N, 7.0))
    np.testing.assert_allclose(it.validate(it.workspace(same, None, 1), 0, point(it), 0).prediction, 7, atol=0.5)


def test_a_table_of_one_level_and_a_table_without_numbers_are_learned() -> None:
    it, data = mlp(), training(BINARY)
    for columns in (["level"], ["a"]):
        X = data.X[columns].assign(**{"level": "only"} if columns == ["level"] else {})
        prediction = it.validate(it.workspace(replace(data, features=X), None, 1), 0, point(it), 0).prediction
        assert np.isfinite(prediction).all()


def test_a_fold_stops_after_its_patience_and_is_as_at_its_best_epoch() -> None:
    it, data = mlp(f"{KEY}.epochs=200", f"{KEY}.patience=3", f"{KEY}.schedule=none"), training()
    folded = it.validate(it.workspace(data, None, 1), 0, point(it), 0)
    assert folded.rounds is not None
    assert len(folded.curve) == folded.rounds + 3 < it.rounds == 200
    assert min(value for _, value in folded.curve) == dict(folded.curve)[folded.rounds]


def test_a_fold_that_is_out_of_time_ends_and_a_final_fit_stays_as_far_as_it_has_come() -> None:
    it, data = mlp(), training()
    workspace, seen = it.workspace(data, None, 1), list[int]()

    def watch(curve: model.Curve) -> None:
        seen.append(len(curve))
        if len(seen) == 3:
            raise OutOfTimeError

    with pytest.raises(OutOfTimeError):
        it.validate(workspace, 0, point(it), 0, watch)
    seen.clear()
    cut = it.fit(workspace, point(it), 9, 0, watch)
    assert cut.predict(data.X).tobytes() == it.fit(workspace, point(it), 3, 0).predict(data.X).tobytes()


@pytest.mark.parametrize("problem", [REGRESSION, BINARY])
def test_a_final_model_is_the_mean_of_its_nets_in_any_number_of_threads(problem: Problem, tmp_path: Path) -> None:
    it, data = mlp("model.mlp.nets=3"), training(problem)
    workspace = it.workspace(data, None, 1)
    several, rounds = it.final(point(it), 4)
    fitted = it.fit(workspace, several, rounds, 0, n_threads=3)
    every = [replace(fitted, net=net, others=()).predict(data.X) for net in fitted.nets]
    assert every[0].tobytes() == it.fit(workspace, point(it), rounds, 0).predict(data.X).tobytes()
    assert all(abs(one - other).max() > 1e-3 for one, other in zip(every, [*every[1:], every[0]], strict=True))
    np.testing.assert_allclose(fitted.predict(data.X), np.mean(every, axis=0), rtol=1e-12)
    assert fitted.predict(data.X).tobytes() == it.fit(workspace, several, rounds, 0).predict(data.X).tobytes()
    model.save(fitted, tmp_path / "model")
    again = model.load(tmp_path / "model")
    assert again.predict(data.X).tobytes() == fitted.predict(data.X).tobytes()
    assert again.importance() == fitted.importance()
    assert again.n_parameters == 3 * replace(fitted, others=()).n_parameters


def test_what_several_nets_come_to_is_known_from_a_fold_s_one() -> None:
    it, data = mlp(), training()
    workspace = it.workspace(data, None, 1)
    several, _ = it.final(point(it), 4)
    of_fold, whole = it.validate(workspace, 0, point(it), 0).fitted, it.fit(workspace, several, 4, 0)
    assert isinstance(of_fold, Fitted)
    promised, same = (it.footprint(workspace, one, several, 4, 1.0) for one in (of_fold, whole))
    assert promised.megabytes == pytest.approx(same.megabytes, rel=0.05)
    assert promised.milliseconds == pytest.approx(same.milliseconds, rel=0.05)
    assert it.of_fewer(several, 1) == {**point(it), "nets": 1}


def test_a_net_is_no_surer_of_a_class_than_so_many_rows_let_it() -> None:
    data, it = training(BINARY), mlp(f"{KEY}.learning_rate=0.05")
    fitted = it.fit(it.workspace(data, None, 1), point(it), 60, 0)
    surest = float(fitted.predict(data.X).max())
    assert 1 - 1 / (N + 2) < surest <= 1 - 1 / (N + 2) / 2


def test_a_schedule_shows_its_curve_only_once_it_tells_where_it_ends() -> None:
    it, data = mlp(f"{KEY}.epochs=8"), training()
    workspace = it.workspace(data, None, 1)

    def seen(schedule: str) -> list[int]:
        lengths = list[int]()
        it.validate(workspace, 0, point(it, schedule=schedule), 0, lambda curve: lengths.append(len(curve)))
        return lengths

    assert seen("none") == [1, 2, 3, 4, 5, 6, 7, 8]
    assert seen("cosine") == [0, 0, 0, 0, 0, 6, 7, 8]


def test_the_final_fit_has_as_many_epochs_as_the_folds_though_it_has_more_rows() -> None:
    assert growth_of_rounds(mlp(), 1.25) == 1.0


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is one here")
def test_a_device_that_is_not_there_is_refused_by_name() -> None:
    assert mlp("device=cuda").check(REGRESSION, MSE()) == [
        "device=cuda: PyTorch finds no such device here; choose auto or cpu."
    ]


def test_a_choice_that_there_is_not_is_refused_by_name() -> None:
    faults = mlp(f"{KEY}.activation=rellu", "model.mlp.space.scaling=[quantil]").check(REGRESSION, MSE())
    assert "scaling=quantil;" in faults[0]
    assert "activation=rellu" in faults[1]
    assert "did you mean 'relu'" in faults[1]


def test_out_of_memory_is_named_with_the_batch_size_to_try() -> None:
    it, data = mlp(), training()
    with pytest.raises(Refusal, match=r"out of memory at batch_size=32: try model.mlp.hyperparameters.batch_size=8"):
        it.validate(it.workspace(data, None, 1), 0, point(it, width=2**24), 0)


def test_the_batch_to_try_is_smaller_than_all_rows_where_a_step_takes_them_all() -> None:
    it, data = mlp("optimizer=gradient_descent"), training()
    with pytest.raises(Refusal, match=r"out of memory at batch_size=100: try model.mlp.hyperparameters.batch_size=25"):
        it.validate(it.workspace(data, None, 1), 0, point(it, width=2**24, batch_size=10**9), 0)


@pytest.mark.parametrize(("override", "said"), [
    (f"{KEY}.epochs=0", "epochs=0 can't be; it is 1 or more"),
    (f"{KEY}.batch_size=0", "batch_size=0 can't be; it is 1 or more"),
    (f"{KEY}.dropout=1", "dropout=1 can't be; it is 0 or more, and less than 1"),
    ("model.mlp.space.learning_rate.low=0", "learning_rate=0 can't be; it is more than 0"),
])  # fmt: skip
def test_a_number_that_no_net_can_have_is_refused(override: str, said: str) -> None:
    it: MLP = build(compose(["model=mlp", override]).config.model["mlp"], "model.mlp")
    assert said in " ".join(it.check(REGRESSION, MSE()))


def test_what_is_fixed_by_default_has_a_space_for_those_who_want_it_searched() -> None:
    it = mlp(*(f"{KEY}.{key}=null" for key in ("activation", "schedule", "patience", "level_width")))
    assert it.check(REGRESSION, MSE()) == []
    assert {"activation", "schedule", "epochs", "patience", "level_width"} <= it.space.keys() & it.start.keys()
    searched: MLP = build(compose(["model=mlp", f"{KEY}.epochs=null"]).config.model["mlp"], "model.mlp")
    assert searched.rounds == 128


def test_a_budget_that_pays_for_less_buys_fewer_epochs() -> None:
    it = mlp(f"{KEY}.epochs=100")
    usual = it.seconds(10_000, 10, 2)
    assert it.affordable(2 * usual, 10_000, 10, 2).rounds == 100
    assert it.affordable(usual / 2, 10_000, 10, 2).rounds == pytest.approx(50, abs=1)
    assert it.affordable(usual / 1e6, 10_000, 10, 2).rounds == 5


def test_rare_and_unseen_levels_are_one_and_an_index_that_no_row_has_says_nothing(tmp_path: Path) -> None:
    it, data = mlp("model.mlp.min_rows=3"), training()
    X = data.X.assign(level=["once", "twice", "twice", *data.X["level"][3:]])
    fitted = it.fit(it.workspace(replace(data, features=X), None, 1), point(it), 3, 0)
    rare, unseen = (fitted.predict(X.head(1).assign(level=level)) for level in ("once", "never seen"))
    assert rare == unseen
    missing, other = (fitted.predict(X.head(1).assign(level=level)) for level in (None, "p"))
    assert missing != other
    model.save(fitted, tmp_path)
    net = load_file(tmp_path / "net.safetensors")
    assert net["levels"][0].abs().max() == 0  # the index of missing ones, which no row has
    assert net["levels"][1].abs().max() > 0
    assert sum(value.numel() for value in net.values()) == fitted.n_parameters


def test_a_number_of_two_values_has_no_waves_whatever_a_fold_has_of_it(tmp_path: Path) -> None:
    it, data = mlp(), training()
    generator = np.random.default_rng(1)
    flag = generator.integers(2, size=N).astype(float)
    flag[data.folds[0][0]] = 1.0  # of one value alone in the training rows of one fold
    X = data.X.assign(flag=flag)[["flag", "a", "level", "b"]]
    workspace = it.workspace(replace(data, features=X), None, 1)
    for done in it.validate_together(workspace, [0, 1], point(it), 0, lambda curves: None):
        assert isinstance(done.fitted, Fitted)
        assert done.fitted.shape.waves == (1, 2)
        assert len(done.fitted.net["frequency"]) == 2
        place = tmp_path / str(done.rounds)
        place.mkdir(exist_ok=True)
        done.fitted.save(place)
        np.testing.assert_array_equal(Fitted.load(place).predict(X), done.fitted.predict(X))


def test_a_net_of_before_has_waves_for_every_number(tmp_path: Path) -> None:
    it, data = mlp(), training()
    fitted = it.validate(it.workspace(data, None, 1), 0, point(it), 0).fitted
    fitted.save(tmp_path)
    kept = json.loads((tmp_path / "net.json").read_text())
    del kept["shape"]["with_waves"]
    (tmp_path / "net.json").write_text(json.dumps(kept))
    np.testing.assert_array_equal(Fitted.load(tmp_path).predict(data.X), fitted.predict(data.X))


def test_predictions_do_not_depend_on_the_rows_beside() -> None:
    it, data = mlp(), training(BINARY)
    fitted = it.fit(it.workspace(data, None, 1), point(it), 3, 0)
    one_by_one = np.vstack([fitted.predict(data.X.iloc[[k]]) for k in range(20)])
    np.testing.assert_allclose(fitted.predict(data.X)[:20], one_by_one, rtol=1e-12)


def test_the_setting_of_the_process_is_taken_back_after_training() -> None:
    it, before = mlp(), torch.get_num_threads()
    it.validate(it.workspace(training(), None, 1), 0, point(it), 0)
    assert torch.get_num_threads() == before


def test_neither_the_seed_of_the_process_matters_nor_is_it_changed() -> None:
    it, data = mlp(), training()
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        state = torch.get_rng_state()
        found.append(it.validate(it.workspace(data, None, 1), 0, point(it), 0).prediction.tobytes())
        assert torch.equal(torch.get_rng_state(), state)
    assert found[0] == found[1]


def run(code: str) -> str:
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_lightgbm_path_never_imports_torch() -> None:
    code = (
        "import sys; import flows.pipeline, tasks.trial, tasks.linear_baseline, tasks.model.linear\n"
        "from flows.config import compose; from flows.plan import plan\n"
        "plan(compose([])); print('torch' in sys.modules)"
    )
    assert run(code).strip() == "False"


def test_without_the_extra_it_is_refused_with_the_command_that_installs_it() -> None:
    code = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'torch': raise ModuleNotFoundError(\"No module named 'torch'\")\n"
        "sys.meta_path.insert(0, Absent())\n"
        "from flows.config import compose; from flows.plan import plan; from tasks.refusal import Refusal\n"
        "try: plan(compose(['model=mlp', 'metric=nonsense']))\n"
        "except Refusal as refusal: print(*refusal.faults, sep='\\n')"
    )
    faults = run(code).splitlines()
    assert len(faults) == 2
    assert 'pip install "finefold[neural]"' in faults[0]


def test_what_torch_imports_for_the_first_optimizer_is_no_part_of_a_fold() -> None:
    code = """
import sys
import numpy as np
import pandas as pd
from flows.build import build
from flows.config import compose
from tasks.loss.mse import MSE
from tasks.model import Training
from tasks.records import Problem

X = pd.DataFrame({"a": np.arange(60.0) % 7})
folds = [(np.arange(40), np.arange(40, 60))]
data = Training(X, X["a"].to_numpy(), None, folds, Problem("regression", "y", ()), MSE(), "rmse")
family = build(compose(["model=mlp"]).config.model["mlp"], "model.mlp")
workspace = family.workspace(data, None, 1)
before = set(sys.modules)
family.validate(workspace, 0, {**family.hyperparameters, **family.start, "epochs": 1}, 0)
print(len({name for name in sys.modules if name not in before and name.startswith(("torch", "sympy"))}))
"""
    assert int(run(code)) < 10
