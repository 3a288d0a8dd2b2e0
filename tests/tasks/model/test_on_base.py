"""Nets that go on from a base: what is frozen stays bit for bit, and what is trained is trained."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

if find_spec("torch") is None:
    pytest.skip('needs torch: pip install "finefold[neural]"', allow_module_level=True)

import based
import numpy as np
import torch
from safetensors.torch import load_file

from tasks import model
from tasks.model import HasAdapters, Training
from tasks.model._on_base import OnBase
from tasks.model.mlp import MLP, Fitted
from tasks.records import Problem, ProblemKind
from tasks.refusal import Refusal

WAYS = MLP.ways
N_LAYERS, RANK = 2, 3  # of the base, and of adapters
HEAD = {"weight.2", "bias.2"}
BELOW = {"levels", "frequency", "phase", "periodic", "periodic_bias"}
EVERYTHING = BELOW | {f"{kind}.{layer}" for kind in ("weight", "bias") for layer in range(3)}
TRAINED = {
    "feature_extraction": HEAD,
    "last_layers": HEAD | {"weight.1", "bias.1"},
    "lora": HEAD | {"weight.0", "weight.1"},
    "gradual": EVERYTHING,
    "full": EVERYTHING,
}
ways = pytest.mark.parametrize("way", WAYS)


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folders = {kind: tmp_path_factory.mktemp(kind) for kind in ("binary", "multiclass", "regression")}
    return {kind: based.base(based.family("mlp"), kind, folder) for kind, folder in folders.items()}  # type: ignore[arg-type]


def going_on(way: str, *overrides: str, **knobs: Any) -> OnBase:
    it = based.strategy(way, **knobs).family("mlp", based.family("mlp", *overrides))
    assert isinstance(it, OnBase)
    return it


def fitted(it: OnBase, data: Training, base: Path, rounds: int = 8, **changed: Any) -> Fitted:
    return it.fit(it.workspace(data, base, 1), based.point(it, **changed), rounds, 0)


def moved(before: Fitted, after: Fitted, place: int = 0) -> set[str]:
    """Names of parameters of one of its nets that are not bit for bit as they were."""
    old, new = before.nets[place % len(before.nets)], after.nets[place]
    assert old.keys() == new.keys()
    return {name for name, value in old.items() if value.numpy().tobytes() != new[name].numpy().tobytes()}


@ways
def test_each_net_of_a_base_is_gone_on_with_and_the_first_again_after_the_last(way: str, tmp_path: Path) -> None:
    folder = based.base(based.family("mlp"), "binary", tmp_path, nets=2)
    base, data, it = Fitted.load(folder), based.training("binary"), going_on(way)
    assert [len(base.nets), moved(base, replace(base, net=base.others[0], others=(base.net,))) != set()] == [2, True]
    alone, after = fitted(it, data, folder), fitted(it, data, folder, nets=3)
    assert len(after.nets) == 3
    assert moved(alone, replace(after, others=())) == set()
    assert [moved(base, after, place) <= TRAINED[way] for place in range(3)] == [True] * 3
    assert all(moved(base, after, place) >= HEAD for place in range(3))
    assert (after.n_parameters, after.n_frozen) == (3 * alone.n_parameters, 3 * alone.n_frozen)


@ways
def test_what_a_way_freezes_is_bit_for_bit_as_it_was_and_the_rest_has_moved(way: str, bases: dict[str, Path]) -> None:
    data, base = based.training("binary"), Fitted.load(bases["binary"])
    it = going_on(way)
    after = fitted(it, data, bases["binary"], **({"rank": RANK} if way == "lora" else {}))
    assert moved(base, after) == TRAINED[way]
    n_trained = {name: after.net[name].numel() for name in TRAINED[way]}
    if way == "lora":
        n_trained |= {name: RANK * sum(after.net[name].shape) for name in ("weight.0", "weight.1")}
        changes = [after.net[name] - base.net[name] for name in ("weight.0", "weight.1")]
        assert [int(torch.linalg.matrix_rank(one, tol=1e-5)) for one in changes] == [RANK, RANK]
    assert after.n_parameters - after.n_frozen == sum(n_trained.values())
    folded = it.validate(it.workspace(data, bases["binary"], 1), 0, based.point(it), 0).fitted
    assert moved(base, folded) <= TRAINED[way]  # `gradual` may be at its best before all layers have joined


def test_adapters_alone_are_what_the_merged_net_has_more_than_its_base(bases: dict[str, Path], tmp_path: Path) -> None:
    data, base, it = based.training("binary"), Fitted.load(bases["binary"]), going_on("lora")
    after = fitted(it, data, bases["binary"], rank=RANK)
    after.save_adapters(tmp_path)
    found = load_file(tmp_path / "adapters.safetensors")
    assert set(found) == HEAD | {f"weight.{k}.{side}" for k in (0, 1) for side in ("down", "up")}
    for name in ("weight.0", "weight.1"):
        added = found[f"{name}.down"] @ found[f"{name}.up"]
        torch.testing.assert_close(base.net[name] + added.to(base.net[name].dtype), after.net[name])
    assert all(torch.equal(found[name], after.net[name]) for name in HEAD)
    folded = it.validate(it.workspace(data, bases["binary"], 1), 0, based.point(it), 0).fitted
    assert isinstance(folded, HasAdapters)
    assert folded.adapters
    full = going_on("full")
    assert fitted(full, data, bases["binary"]).adapters is None


def test_layers_join_one_by_one_from_the_top(bases: dict[str, Path]) -> None:
    it, data, base = going_on("gradual"), based.training("binary"), Fitted.load(bases["binary"])
    layers = [{f"weight.{k}", f"bias.{k}"} for k in (2, 1, 0)]
    joined = [moved(base, fitted(it, data, bases["binary"], n_epochs)) for n_epochs in (1, 2, 3, 4)]
    assert joined == [set.union(*layers[:k]) for k in (1, 2, 3)] + [EVERYTHING]
    first = fitted(it, data, bases["binary"], 1)
    assert first.n_parameters - first.n_frozen == sum(first.net[name].numel() for name in HEAD)


def test_layers_further_down_move_less(bases: dict[str, Path]) -> None:
    data, base = based.training("binary"), Fitted.load(bases["binary"])

    def change(decay: float, name: str) -> float:
        after = fitted(going_on("full"), data, bases["binary"], decay=decay)
        return float((after.net[name] - base.net[name]).abs().mean())

    assert change(0.1, "weight.0") < 0.05 * change(1.0, "weight.0")
    assert change(0.1, "weight.2") > 0.2 * change(1.0, "weight.2")


@ways
def test_folds_as_one_are_validated_as_one_by_one(way: str, bases: dict[str, Path]) -> None:
    knobs = {} if way == "feature_extraction" else {"rehearsal": 0.25, "l2_sp": 0.01}
    it, data = going_on(way, **knobs), based.training("regression", n=121)
    workspace = it.workspace(data, bases["regression"], 1)
    assert it.are_one(workspace, based.point(it), (0, 1, 2), None)
    together = it.validate_together(workspace, [2, 0, 1], based.point(it), 0, lambda curves: None)
    for fold, one in zip([2, 0, 1], together, strict=True):
        alone = it.validate(workspace, fold, based.point(it), 0)
        assert one.rounds == alone.rounds
        np.testing.assert_allclose(one.prediction, alone.prediction, rtol=2e-3, atol=2e-3)
        np.testing.assert_allclose(one.fitted.predict(data.X), alone.fitted.predict(data.X), rtol=2e-3, atol=2e-3)


@ways
@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_a_way_learns_what_the_base_does_not_know(way: str, kind: ProblemKind, bases: dict[str, Path]) -> None:
    it, data = going_on(way, "model.mlp.hyperparameters.epochs=40", step=1.0), based.training(kind)
    before, after = Fitted.load(bases[kind]), fitted(it, data, bases[kind], 40)
    cost, base = (data.loss.cost(data.y, one.predict(data.X), None) for one in (after, before))
    assert cost < 0.9 * base


def test_what_the_base_learned_of_its_rows_stays_and_a_new_level_is_an_unseen_one(bases: dict[str, Path]) -> None:
    data, base = based.training("regression"), Fitted.load(bases["regression"])
    X = data.X.assign(level="new", a=data.X["a"] * 100)
    after = fitted(going_on("full"), replace(data, features=X, y=1000 + data.y), bases["regression"])
    assert after.inputs.levels == base.inputs.levels
    assert after.unit == base.unit
    for one, other in zip(base.inputs.encode(X), after.inputs.encode(X), strict=True):
        assert one.tobytes() == other.tobytes()
    one, other = (after.predict(X.head(1).assign(level=level)) for level in ("new", "never seen"))
    assert one == other
    assert 0 == base.net["levels"][1].abs().max() < after.net["levels"][1].abs().max()  # which it learns from here on


def test_a_class_that_the_base_lacks_gets_an_output_and_its_own_keep_theirs(bases: dict[str, Path]) -> None:
    kind, base = "multiclass", Fitted.load(bases["multiclass"])
    data = based.training(kind)
    data = replace(data, problem=Problem(kind, "y", ("c", "a", "new", "b")), y=(3 - data.y).clip(0, 2))
    it = going_on("full")
    begun = it.workspace(data, bases[kind], 1).net(np.arange(len(data.y)))
    whole = Fitted(base.inputs, replace(base.shape, n_outputs=4), base.activation, model_unit(4), begun, ())
    share = whole.predict(data.X)
    own = share[:, [1, 3, 0]] / share[:, [1, 3, 0]].sum(axis=1, keepdims=True)
    sure = replace(base, unit=model_unit(3))
    np.testing.assert_allclose(own, sure.predict(data.X), atol=1e-6)
    assert share[:, 2].mean() == pytest.approx((data.y == 2).mean(), rel=0.3)
    assert fitted(it, data, bases[kind]).predict(data.X).shape == (len(data.y), 4)


def model_unit(n_classes: int) -> Any:
    from tasks.model._unit import Unit

    return Unit(n_classes)


def test_a_pull_towards_the_base_keeps_near_to_it(bases: dict[str, Path]) -> None:
    data, base = based.training("binary"), Fitted.load(bases["binary"])

    def distance(way: str, l2_sp: float) -> float:
        after = fitted(going_on(way, l2_sp=l2_sp), data, bases["binary"])
        return sum(float((after.net[name] - base.net[name]).square().sum()) for name in base.net) ** 0.5

    for way in ("full", "gradual", "lora", "last_layers"):
        assert distance(way, 10.0) < 0.5 * distance(way, 0.0), way


def test_rehearsal_forgets_less(bases: dict[str, Path]) -> None:
    source, data = based.training("regression", 200, seed=7, shift=0.0), based.training("regression")
    data = replace(data, y=data.y + 5)

    def cost(way: str, rehearsal: float) -> float:
        after = fitted(going_on(way, rehearsal=rehearsal, step=1.0), data, bases["regression"])
        return source.loss.cost(source.y, after.predict(source.X), None)

    for way in ("full", "gradual", "lora", "last_layers"):
        assert cost(way, 0.5) < 0.6 * cost(way, 0.0), way


def test_rehearsal_without_rows_of_the_source_is_refused_by_name(tmp_path: Path) -> None:
    base, data = based.base(based.family("mlp"), "binary", tmp_path, has_source=False), based.training("binary")
    with pytest.raises(Refusal, match=r"strategy.hyperparameters.rehearsal=0.5: .* source_data=FILE"):
        going_on("full", rehearsal=0.5).workspace(data, base, 1)
    with pytest.raises(Refusal, match="rehearsal=null"):
        going_on("lora", rehearsal=None).workspace(data, base, 1)
    going_on("full").workspace(data, base, 1)


def test_sizes_that_the_base_does_not_have_are_refused_and_none_is_searched(bases: dict[str, Path]) -> None:
    it = going_on("full", "model.mlp.hyperparameters.width=64", "model.mlp.hyperparameters.layers=2")
    with pytest.raises(Refusal, match=r"width=64: the base has 16") as refused:
        it.workspace(based.training("binary"), bases["binary"], 1)
    assert len(refused.value.faults) == 1
    assert set(it.space) & {"layers", "width", "scaling", "spread", "learning_rate", "weight_decay"} == set()


def test_a_target_in_another_unit_than_the_base_s_is_named_as_what_may_be_wrong(bases: dict[str, Path]) -> None:
    it, data = going_on("full"), based.training("regression")
    with pytest.raises(ValueError, match="unless the target is in another unit than the base's"):
        fitted(it, replace(data, y=1e6 * data.y), bases["regression"])


def test_knobs_out_of_their_limits_are_refused_all_at_once() -> None:
    it = going_on("full", step=0.0, decay=-1, rehearsal=1.0, l2_sp=-0.1)
    faults = it.check(based.training("binary").problem, based.training("binary").loss)
    assert faults == [
        "strategy.hyperparameters.step must be above 0, got 0.0.",
        "strategy.hyperparameters.decay must be above 0, got -1.",
        "strategy.hyperparameters.l2_sp must be at least 0, got -0.1.",
        "strategy.hyperparameters.rehearsal must be at least 0 and below 1, got 1.0.",
    ]


def test_a_saved_model_knows_what_was_frozen_and_a_base_of_its_own_can_go_on(
    bases: dict[str, Path], tmp_path: Path
) -> None:
    data = based.training("binary")
    first = fitted(going_on("lora"), data, bases["binary"])
    model.save(first, tmp_path)
    (tmp_path / "problem.json").write_text(json.dumps({"classes": data.problem.classes}))
    loaded = model.load(tmp_path)
    assert isinstance(loaded, Fitted)
    assert 0 < loaded.n_frozen == first.n_frozen < loaded.n_parameters
    assert moved(first, fitted(going_on("feature_extraction"), data, tmp_path)) == HEAD


def test_activations_below_what_is_trained_are_made_once_for_all_folds_and_trials(
    bases: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasks.model import _base_rows as base_rows

    made, taken = [], base_rows._taken
    monkeypatch.setattr(base_rows, "_taken", lambda *given: made.append(given[-1]) or taken(*given))
    it, data = going_on("feature_extraction"), based.training("binary")
    workspace = it.workspace(data, bases["binary"], 1)
    for step in (0.1, 0.3):
        for fold in range(3):
            it.validate(workspace, fold, based.point(it, step=step), 0)
    assert made == [N_LAYERS]


def test_the_process_s_random_numbers_are_left_alone(bases: dict[str, Path]) -> None:
    state = torch.get_rng_state()
    fitted(going_on("lora", rehearsal=0.25), based.training("binary"), bases["binary"])
    assert torch.equal(torch.get_rng_state(), state)
