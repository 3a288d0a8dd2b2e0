"""`python -m benchmarks.generator [rows=1500] [target=400] [seeds=3] [only=as_is,lora,full,speed,adapters]`: a small
language model that is pre-trained on `source=grammar source.topic=animals` and fine-tuned on `units`, by the strategies
of `model=text_generator` with their start values: perplexity per token of held texts of both, seconds, peak memory and
trained parameters, each in a process of its own with one core's worth of threads.

`speed`: tokens per second of the training loop, of transformers' Trainer with the same net, pairs, batch size,
optimizer, schedule and clipping, and of forward and backward alone on the loop's own batches, in turn. `adapters`:
trained parameters and bytes of LoRA beside the formula, and how far merged logits are from those with adapters.

`base=FOLDER`: pre-trained once, and kept there.
"""

from __future__ import annotations

import copy
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from benchmarks import arguments, place, report, watch
from flows.build import build
from flows.config import compose
from tasks import metric
from tasks.loss.next_token import NextToken
from tasks.model import Training, save
from tasks.model._device import one_thread
from tasks.model._generator_ways import groups_of, lora
from tasks.model._going_on import Knobs
from tasks.model._pairs import Sequences
from tasks.model._writing import Plan, Trainable, losses, train
from tasks.model.text_generator import Fitted
from tasks.records import Problem
from tasks.source import load
from tasks.source.grammar import Grammar

WAYS = ("as_is", "from_scratch", "feature_extraction", "last_layers", "gradual", "lora", "full")
SPEED, ADAPTERS = "speed", "adapters"
HEADINGS = ("strategy", "seed", "target perplexity", "source perplexity", "fit, s", "fit, processor s", "peak, MB",
            "trained parameters")  # fmt: skip
LIMIT, ROUNDS, HELD = 3600.0, 3, 0.2
PAIR, PLAIN = ("prompt", "response"), ("text",)


def main() -> None:
    arguments.check(("rows", "target", "seeds", "only", "one", "seed", "answer", "base"))
    n_rows, n_target = report.argument("rows", 1500), report.argument("target", 400)
    if one := arguments.text("one", ""):
        answer = measured(one, Path(arguments.text("base", "")), n_rows, n_target, report.argument("seed", 0))
        Path(arguments.text("answer", "")).write_text(json.dumps(answer))
        return
    asked, seeds = arguments.names("only", [*WAYS, SPEED, ADAPTERS]), range(report.argument("seeds", 3))
    with tempfile.TemporaryDirectory() as folder:
        base = Path(arguments.text("base", "") or Path(folder) / "base").resolve()
        if not base.exists():
            _pretrain(base, n_rows)
        ways = [way for way in asked if way in WAYS]
        rows = [line(way, seed, base, n_rows, n_target) for way in ways for seed in seeds]
        if rows:
            print(report.table(HEADINGS, rows))
        if SPEED in asked:
            print("\n" + report.table(("", "tokens per second", "tokens per processor second"), speeds(base, n_target)))
        if ADAPTERS in asked:
            heads = ("rank", "trained", "formula", "bytes of the adapter", "bytes of the model", "merged from unmerged")
            print("\n" + report.table(heads, [adapters(base, rank) for rank in (2, 8, 16)]))
    print(f"\n{report.machine(1)}")


def data(topic: str, n_rows: int, columns: tuple[str, ...]) -> tuple[Training, Any, np.ndarray]:
    """Texts to train on, and held ones with their bytes; no prompt is on both sides."""
    table = load(Grammar(topic, n_rows)).to_pandas().drop_duplicates("prompt").reset_index(drop=True)
    is_held = np.random.default_rng(1).random(len(table)) < HELD
    X, y = table[list(columns)], table[columns[-1]].str.encode("utf-8").str.len().to_numpy(dtype=np.float64)
    own = X[~is_held].reset_index(drop=True)
    folds = [(np.arange(len(own)), np.arange(1))]
    training = Training(own, y[~is_held], None, folds, Problem("generation", columns[-1], ()), NextToken(),
                        "bits_per_byte", text=columns)  # fmt: skip
    return training, X[is_held].reset_index(drop=True), y[is_held]


def family_in(way: str) -> tuple[Any, dict[str, Any]]:
    """The family in that way, and its start."""
    config = compose(["model=text_generator", f"strategy={way}"]).config
    family: Any = build(config.model["text_generator"], "model.text_generator")
    strategy: Any = build(config.strategy, "strategy")
    own = {key: value for key, value in strategy.hyperparameters.items() if value is None}
    on = family.going_on(way, Knobs(own, strategy.start, strategy.space, strategy.grid))
    return on, {**{key: value for key, value in on.hyperparameters.items() if value is not None}, **on.start}


def _pretrain(base: Path, n_rows: int) -> None:
    begun, started = time.perf_counter(), time.process_time()
    family, given = family_in("from_scratch")
    training = data("animals", n_rows, PLAIN)[0]
    fitted: Fitted = family.fit(family.workspace(training, None, 1), given, given["epochs"], 0)
    took = f"{time.perf_counter() - begun:.0f} s ({time.process_time() - started:.0f} processor s)"
    save(fitted, base)
    print(f"pre-trained: {fitted.n_parameters:,} parameters on {n_rows:,} texts in {took}\n", flush=True)


def line(way: str, seed: int, base: Path, n_rows: int, n_target: int) -> list[str]:
    """What a process of its own answers, and its peak memory."""
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        command = [sys.executable, "-m", "benchmarks.generator", f"one={way}", f"base={base}", f"rows={n_rows}",
                   f"target={n_target}", f"seed={seed}", f"answer={answer}"]  # fmt: skip
        environment = {**os.environ, "PYTHONPATH": str(place.ROOT)}
        went = watch.run(command, Path(folder), environment, Path(folder) / "log", LIMIT)
        if went.status:
            return [way, str(seed), "failed", (Path(folder) / "log").read_text()[-200:], *[""] * (len(HEADINGS) - 4)]
        found = json.loads(answer.read_text())
    return [way, str(seed), f"{found['target']:.2f}", f"{found['source']:.2f}", f"{found['fit']:.1f}",
            f"{found['processor']:.1f}", f"{went.peak_bytes / 1e6:,.0f}", f"{found['trained']:,}"]  # fmt: skip


def measured(way: str, base: Path, n_rows: int, n_target: int, seed: int) -> dict[str, Any]:
    target, held, y = data("units", n_target, PAIR)
    _, source, y_source = data("animals", n_rows, PLAIN)
    fitted, trained = Fitted.load(base), 0
    begun, started = time.perf_counter(), time.process_time()
    if way != "as_is":
        family, given = family_in(way)
        workspace = family.workspace(target, base, 1)
        begun, started = time.perf_counter(), time.process_time()
        fitted = family.fit(workspace, given, given["epochs"], seed)
        trained = fitted.n_parameters - fitted.n_frozen
    ended, stopped = time.perf_counter(), time.process_time()
    return {"target": metric.value("perplexity", y, fitted.predict(held)),
            "source": metric.value("perplexity", y_source, fitted.predict(source)),
            "fit": ended - begun, "processor": stopped - started, "trained": trained}  # fmt: skip


def speeds(base: Path, n_target: int) -> list[list[str]]:
    """The median of some rounds of each, in turn."""
    training = data("units", n_target, PAIR)[0]
    writer = Fitted.load(base).writer
    sequences = Sequences.of(writer, training.X)
    plan = Plan(1e-3, 0.1, 2, 2, 16, 1, 0.01, 0.0, 0.0, False, False, 0)
    rows = np.arange(len(training.y))
    ways: dict[str, Callable[[Any], None]] = {
        "finefold's loop": lambda net: _looped(net, sequences, rows, plan),
        "transformers' Trainer": lambda net: _by_trainer(net, sequences, plan),
        "forward and backward alone": lambda net: _floor(net, sequences, rows, plan),
    }
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    n_tokens = plan.epochs * len(sequences.ids)
    with one_thread:
        for _ in range(ROUNDS):
            for name, run in ways.items():
                net = writer.copied()
                begun, started = time.perf_counter(), time.process_time()
                run(net)
                found[name].append((time.perf_counter() - begun, time.process_time() - started))
    return [[name, *(f"{n_tokens / median(one[k] for one in times):,.0f}" for k in range(2))]
            for name, times in found.items()]  # fmt: skip


def _looped(net: Any, sequences: Sequences, rows: np.ndarray, plan: Plan) -> None:
    train(Trainable(net, groups_of(net, 1.0), True), sequences, rows, None, plan, None, None, lambda curve: None,
          plan.epochs)  # fmt: skip


def _floor(net: Any, sequences: Sequences, rows: np.ndarray, plan: Plan) -> None:
    """Batches of sequences of about one length, as the loop has them in the mean."""
    order = np.argsort(sequences.lengths[rows], kind="stable")
    net.train()
    for _ in range(plan.epochs):
        for begin in range(0, len(order), plan.batch_size):
            ids, is_learned = sequences.batch(order[begin : begin + plan.batch_size], torch.device("cpu"))
            net.zero_grad()
            losses(net, ids, is_learned, is_plain=True).mean().backward()


def _by_trainer(net: Any, sequences: Sequences, plan: Plan) -> None:
    from transformers import Trainer, TrainingArguments

    rows = []
    for begin, end, given in zip(sequences.begins, sequences.begins[1:], sequences.n_given, strict=False):
        ids = sequences.ids[begin:end].tolist()
        rows.append({"input_ids": ids, "labels": [-100] * given + ids[given:], "length": len(ids)})

    def collate(some: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        longest = max(len(one["input_ids"]) for one in some)

        def padded(name: str, filler: int) -> torch.Tensor:
            return torch.tensor([one[name] + [filler] * (longest - len(one[name])) for one in some])

        return {"input_ids": padded("input_ids", 0), "labels": padded("labels", -100)}

    with tempfile.TemporaryDirectory() as folder:
        asked = TrainingArguments(
            output_dir=folder, num_train_epochs=plan.epochs, per_device_train_batch_size=plan.batch_size,
            learning_rate=plan.learning_rate, weight_decay=plan.weight_decay, adam_beta2=0.95, max_grad_norm=1.0,
            lr_scheduler_type="linear", warmup_steps=plan.warm_up, train_sampling_strategy="group_by_length",
            optim="adamw_torch_fused", save_strategy="no", logging_strategy="no", report_to=[], disable_tqdm=True,
            use_cpu=True, remove_unused_columns=False, dataloader_pin_memory=False, seed=plan.seed,
        )  # fmt: skip
        Trainer(model=net, args=asked, train_dataset=rows, data_collator=collate).train()


def adapters(base: Path, rank: int) -> list[str]:
    """A layer's attention has one matrix of (width, 3 width), beside which lie (width, rank) and (rank, 3 width)."""
    writer = Fitted.load(base).writer
    begun = lora(writer, {"rank": rank, "checkpointing": False}, 0)
    random = torch.Generator().manual_seed(0)
    for group, _ in begun.it.groups:
        for one in group:  # the second of each pair begins with zeros
            one.data += 0.02 * torch.randn(one.shape, generator=random)
    made = begun.adapters()
    assert made is not None
    ids = torch.randint(0, writer.vocabulary, (4, 64), generator=random)
    with torch.inference_mode(), tempfile.TemporaryDirectory() as folder:
        unmerged = copy.deepcopy(begun.it.net).eval()(input_ids=ids).logits
        merged = begun.whole().eval()(input_ids=ids).logits
        made.save(Path(folder))
        n_bytes = (Path(folder) / "adapter_model.safetensors").stat().st_size
    width, depth = writer.config.n_embd, writer.config.n_layer
    return [str(rank), f"{begun.n_trained:,}", f"{depth * rank * 4 * width:,}", f"{n_bytes:,}",
            f"{4 * writer.n_parameters:,}", f"{float((merged - unmerged).abs().max()):.1e}"]  # fmt: skip


if __name__ == "__main__":
    main()
