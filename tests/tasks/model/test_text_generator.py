"""What is peculiar to writing with a causal language model."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

if find_spec("transformers") is None:
    pytest.skip('needs transformers: pip install "finefold[text]"', allow_module_level=True)

import torch
from tiny_encoder import tiny_encoder
from tiny_generator import CHAT, SHAPE, family, point, questions, tiny_generator, writer_of
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer

from tasks import base_folder, metric, model
from tasks.loss.next_token import NextToken
from tasks.model import Training
from tasks.model._encoder import layers
from tasks.model._generator import Writer, doubts, faults
from tasks.model._generator_ways import WAYS, groups_of, lora
from tasks.model._going_on import Knobs
from tasks.model._pairs import KEPT_OF_A_PROMPT, Sequences, cut, fitted
from tasks.model._prompt import Format
from tasks.model._respond import begun_with, respond
from tasks.model._writing import Plan, Trainable, judged, train
from tasks.model.text_encoder import TextEncoder
from tasks.model.text_generator import Fitted, TextGenerator
from tasks.records import Problem
from tasks.refusal import Refusal

TRAINED = ("feature_extraction", "full", "gradual", "last_layers", "lora")
N = 40
PAIR = ("prompt", "response")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_generator(tmp_path_factory.mktemp("generator"))


@pytest.fixture(scope="module")
def writer(base: Path) -> Writer:
    return Writer.load(base)


def training(columns: tuple[str, ...] = PAIR, weight: Any = None) -> Training:
    X = questions("units", N)[list(columns)]
    y = X[columns[-1]].str.len().to_numpy(dtype=np.float64)
    side = np.arange(N) % 2
    folds = [(np.flatnonzero(side != k), np.flatnonzero(side == k)) for k in range(2)]
    problem = Problem("generation", columns[-1], ())
    return Training(X, y, weight, folds, problem, NextToken(), "bits_per_byte", text=columns)


def fit(way: str, base: Path | None, epochs: int = 2, **changed: Any) -> Fitted:
    it = family(way, *(f"model.text_generator.new.{key}={value}" for key, value in vars(SHAPE).items()))
    given = point(it, epochs=epochs, **changed)
    return it.fit(it.workspace(training(), base, 1), given, epochs, 0)


def plan(**changed: Any) -> Plan:
    usual = {"learning_rate": 1e-2, "warm_up": 0.1, "epochs": 1, "patience": 2, "batch_size": 8, "accumulation": 1,
             "weight_decay": 0.0, "dropout": 0.0, "l2_sp": 0.0, "is_gradual": False, "is_higher_better": False,
             "seed": 0}  # fmt: skip
    return Plan(**{**usual, **changed})


def loud(writer: Writer) -> Writer:
    """The same with weights so large that what it writes hangs on its prompt."""
    net = writer.copied()
    with torch.no_grad():
        for one in layers(net).parameters():
            one *= 40
    return writer.of(net)


def out_of_memory(*_: object) -> None:
    raise torch.OutOfMemoryError("CUDA out of memory")


def weights(net: Any) -> dict[str, Any]:
    return {name: one.detach().clone() for name, one in net.named_parameters()}


def test_a_row_s_loss_is_that_of_transformers_on_the_response_s_tokens_alone(writer: Writer) -> None:
    X = questions("units", 3)[list(PAIR)]
    found = judged(writer.net, Sequences.of(writer, X), np.arange(3), is_plain=writer.is_plain)
    form = Format(writer)
    for row, prompt, response in zip(found, form.prompts(X["prompt"]), form.responses(X["response"], in_chat=True),
                                     strict=True):  # fmt: skip
        ids = torch.tensor([prompt + response])
        labels = torch.tensor([[-100] * len(prompt) + response])
        loss = float(writer.net(input_ids=ids, labels=labels).loss)
        assert row[1] == len(response)
        assert row[0] / row[1] == pytest.approx(loss, rel=1e-5)


def test_what_is_padded_beside_it_changes_no_row(writer: Writer) -> None:
    sequences = Sequences.of(writer, questions("units", 12)[list(PAIR)])
    together = judged(writer.net, sequences, np.arange(12), is_plain=True)
    alone = [judged(writer.net, sequences, np.array([row]), is_plain=True)[0] for row in range(12)]
    np.testing.assert_allclose(together, alone, rtol=1e-5)
    np.testing.assert_allclose(together, judged(writer.net, sequences, np.arange(12), is_plain=False), rtol=1e-5)


def test_a_long_pair_is_cut_on_the_prompt_s_left_and_every_token_of_its_response_is_learned_once() -> None:
    parts, is_cut = fitted(range(10), range(100, 106), 12, 0)
    assert is_cut
    assert parts == [([4, 5, 6, 7, 8, 9, 100, 101, 102, 103, 104, 105], 6)]
    parts, is_cut = fitted(range(10), range(100, 125), 12, 1)
    assert is_cut
    assert [token for tokens, n_given in parts for token in tokens[n_given:]] == list(range(100, 125))
    assert parts[0][0][:3] == [0, 8, 9]  # what opens every prompt stays
    assert all(len(tokens) <= 12 for tokens, _ in parts)
    assert all(parts[k][0][0] == parts[k - 1][0][-1] for k in range(1, len(parts)))
    assert cut(range(10), 4, 3) == [6, 7, 8, 9]  # unless it would be most of it
    assert fitted(range(3), range(100, 104), 12, 1) == ([([0, 1, 2, 100, 101, 102, 103], 3)], False)


def test_a_chat_that_is_too_long_keeps_its_opening_and_the_end_of_the_user_s_text(tmp_path: Path) -> None:
    for template in (CHAT, None):
        writer = Writer.load(tiny_generator(tmp_path / str(template is None), template=template), torch.device("cpu"))
        (tokens,) = begun_with(writer, ["and so on " * 50 + "at last?"], 8)
        text = writer.tokenizer.decode(tokens, skip_special_tokens=False)
        opening = "<|user|>" if template else writer.tokenizer.id_to_token(writer.begin)
        assert text.startswith(opening)
        assert text.endswith("at last?<|end|>\n<|assistant|>" if template else "at last?\n")
        assert len(tokens) == writer.context - 8


def test_pairs_that_were_cut_are_counted_and_said(base: Path) -> None:
    it = family("lora")
    data = training()
    X = data.X.assign(prompt=data.X["prompt"] + " and so on" * 30)
    workspace = it.workspace(Training(X, *(getattr(data, name) for name in ("y", "weight", "folds", "problem", "loss",
                             "metric")), text=PAIR), base, 1)  # fmt: skip
    assert workspace.sequences.n_cut == N
    assert f"{N} of {N} pairs are longer than the context of 64 tokens" in workspace.note


@pytest.mark.parametrize("way", TRAINED)
def test_what_a_way_does_not_train_stays_bit_for_bit_and_what_it_trains_moves(
    way: str, base: Path, writer: Writer
) -> None:
    before, after = weights(writer.net), weights(fit(way, base, n_layers=1, rank=2).writer.net)
    moved = {name for name, one in after.items() if not torch.equal(one, before[name])}
    last = {name for name in before if name.startswith("transformer.h.2.")}
    attention = {name for name in before if name.endswith("c_attn.weight")}
    norm = {"transformer.ln_f.weight", "transformer.ln_f.bias"}
    expected = {"feature_extraction": norm, "last_layers": norm | last, "lora": attention, "full": set(before),
                "gradual": norm | last | {name for name in before if name.startswith("transformer.h.1.")}}  # fmt: skip
    assert moved == expected[way]


def test_training_lowers_the_loss_and_the_best_epoch_is_kept(base: Path) -> None:
    it = family("full")
    done = it.validate(it.workspace(training(), base, 1), 0, point(it, epochs=4), 0)
    values = [value for _, value in done.curve]
    assert values[-1] < values[0]
    assert done.rounds == 1 + int(np.argmin(values))
    data = training()
    valid = data.folds[0][1]
    again = metric.value("bits_per_byte", data.y[valid], done.fitted.predict(data.X.iloc[valid]))
    assert again == pytest.approx(min(values), rel=1e-6)


def test_the_same_seed_gives_the_same_model(base: Path) -> None:
    first, second = (weights(fit("lora", base, rank=2, dropout=0.1).writer.net) for _ in range(2))
    assert all(torch.equal(one, second[name]) for name, one in first.items())


def test_a_batch_in_parts_is_the_same_batch(writer: Writer) -> None:
    sequences, found = Sequences.of(writer, training().X), []
    for accumulation in (1, 4):
        net = writer.copied()
        it = Trainable(net, groups_of(net, 1.0), is_plain=True)
        train(it, sequences, np.arange(N), None, plan(accumulation=accumulation), None, None, lambda curve: None, 1)
        found.append(weights(net))
    assert all(torch.allclose(one, found[1][name], atol=1e-5) for name, one in found[0].items())


def test_recomputing_activations_changes_nothing(writer: Writer) -> None:
    sequences, found = Sequences.of(writer, training().X), []
    for recomputes in (False, True):
        net = writer.copied()
        it = Trainable(net, groups_of(net, 1.0), is_plain=True, recomputes=recomputes)
        train(it, sequences, np.arange(N), None, plan(), None, None, lambda curve: None, 1)
        found.append(weights(net))
    assert all(torch.allclose(one, found[1][name], atol=1e-5) for name, one in found[0].items())


def test_a_row_without_weight_teaches_nothing(writer: Writer) -> None:
    sequences, found = Sequences.of(writer, training().X), []
    weight = np.where(np.arange(N) < N // 2, 1.0, 0.0)
    for changed in (False, True):
        X = training().X
        other = X.assign(response=X["response"].where(weight > 0, X["response"].str.upper())) if changed else X
        sequences = Sequences.of(writer, other) if changed else sequences
        net = writer.copied()
        it = Trainable(net, groups_of(net, 1.0), is_plain=True)
        of_one = plan(batch_size=N)  # else the rows that share a batch change with their lengths
        train(it, sequences, np.arange(N), weight, of_one, None, None, lambda curve: None, 1)
        found.append(weights(net))
    assert all(torch.allclose(one, found[1][name], atol=1e-5) for name, one in found[0].items())


@pytest.mark.parametrize("rank", [2, 8])
def test_lora_has_the_parameters_of_its_formula_and_merged_is_unmerged(writer: Writer, rank: int) -> None:
    begun = lora(writer, {"rank": rank, "checkpointing": False}, 0)
    assert begun.n_trained == SHAPE.layers * rank * (SHAPE.width + 3 * SHAPE.width)
    for group, _ in begun.it.groups:
        for one in group:
            one.data += 0.1 * torch.randn(one.shape, generator=torch.Generator().manual_seed(1))
    ids = torch.randint(0, writer.vocabulary, (2, 20), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        unmerged = begun.it.net.eval()(input_ids=ids).logits
        merged = begun.whole().eval()(input_ids=ids).logits
        plain = writer.net(input_ids=ids).logits
    assert float((merged - unmerged).abs().max()) < 1e-5
    assert float((merged - plain).abs().max()) > 1e-3


@pytest.mark.parametrize("kind", ["Bloom", "Cohere", "GPTBigCode", "Olmo2", "Phi3", "Qwen3"])
def test_adapters_of_any_kind_of_model_stand_in_every_layer_s_attention_alone(kind: str, writer: Writer) -> None:
    begun = lora(writer_of(kind, writer), {"rank": 2, "checkpointing": False}, 0)
    trained = {id(one) for group, _ in begun.it.groups for one in group}
    places = [name for name, one in begun.it.net.named_parameters() if id(one) in trained]
    assert {place for name in places for place in range(3) if f".{place}." in name} == {0, 1, 2}
    assert all("attn" in name or "attention" in name for name in places)


def test_the_head_s_way_leaves_a_norm_below_the_layers_as_it_is(writer: Writer) -> None:
    other = writer_of("Bloom", writer)
    begun = WAYS["feature_extraction"](other, {"checkpointing": False}, 0)
    sequences = Sequences.of(other, training().X)
    train(begun.it, sequences, np.arange(N), None, plan(), None, None, lambda curve: None, 1)
    before, after = weights(other.net), weights(begun.whole())
    moved = {name for name, one in after.items() if not torch.equal(one, before[name])}
    assert moved == {"transformer.ln_f.weight", "transformer.ln_f.bias"}


@pytest.mark.parametrize(("kind", "is_plain"), [("Olmo2", True), ("Cohere", False), ("Gemma2", False)])
def test_a_model_that_does_more_to_its_logits_is_told_from_a_plain_one(
    kind: str, is_plain: bool, writer: Writer
) -> None:
    other = writer_of(kind, writer)  # whose begin, end and padding are one token, of zeros
    assert other.is_plain == is_plain
    sequences = Sequences.of(other, training().X)
    found = [judged(other.net, sequences, np.arange(N), is_plain=plain) for plain in (is_plain, False)]
    np.testing.assert_allclose(*found, rtol=1e-5)


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")  # which PEFT asks for
def test_adapters_lie_beside_the_merged_model_and_name_their_base_and_the_sha256_of_its_weights(
    base: Path, writer: Writer, tmp_path: Path
) -> None:
    import peft

    stored = base_folder.stored(base, "https://huggingface.co/some/one/tree/abc", tmp_path)
    model.save(fit("lora", stored, rank=2), tmp_path / "model")
    adapter = tmp_path / "model" / "adapter"
    digest = hashlib.sha256((base / "model.safetensors").read_bytes()).hexdigest()
    assert json.loads((adapter / "base.json").read_text()) == {"sha256": {"model.safetensors": digest}}
    config = json.loads((adapter / "adapter_config.json").read_text())
    assert (config["base_model_name_or_path"], config["revision"]) == ("some/one", "abc")
    whole = peft.PeftModel.from_pretrained(writer.copied(), str(adapter)).merge_and_unload()
    ours = weights(model.load(tmp_path / "model").writer.net)
    assert all(torch.allclose(one, ours[name], atol=1e-6) for name, one in weights(whole).items())


def test_a_saved_model_is_loaded_by_transformers_and_by_us(base: Path, tmp_path: Path) -> None:
    made, X = fit("full", base), training().X
    model.save(made, tmp_path)
    loaded = model.load(tmp_path)
    np.testing.assert_array_equal(loaded.predict(X), made.predict(X))
    assert loaded.respond(X["prompt"].tolist()[:3]) == made.respond(X["prompt"].tolist()[:3])
    net, tokenizer = AutoModelForCausalLM.from_pretrained(tmp_path), AutoTokenizer.from_pretrained(tmp_path)
    ids = tokenizer("How many grams", return_tensors="pt")["input_ids"]
    assert ids[0].tolist() == made.writer.tokenizer.encode("How many grams").ids
    assert torch.equal(net(ids).logits, made.writer.net(ids).logits)


def test_a_response_is_what_it_is_alone_and_no_longer_than_asked(base: Path) -> None:
    made, prompts = Fitted.load(base), [*questions("units", 5)["prompt"], "", "word " * 200]
    together = made.respond(prompts, 6)
    assert together == [made.respond([prompt], 6)[0] for prompt in prompts]
    longest = max(map(len, made.writer.tokenizer.get_vocab()))
    assert max(map(len, together)) <= 6 * longest


def test_a_prompt_is_seen_however_long_its_response_may_be(writer: Writer) -> None:
    made, prompts = loud(writer), ["How many?", "7 x 8"]
    short, long = respond(made, prompts, 4), respond(made, prompts, SHAPE.context)
    assert short[0] != short[1]
    assert all(more.startswith(less) and len(more) > len(less) for less, more in zip(short, long, strict=True))


def test_a_model_of_long_responses_leaves_a_quarter_of_its_context_to_the_prompt(base: Path) -> None:
    it, data = family("lora"), training()
    X = data.X.assign(response=data.X["response"] + " and so on" * 30)
    made = it.fit(it.workspace(replace(data, features=X), base, 1), point(it, epochs=1), 1, 0)
    assert made.most_new == SHAPE.context - SHAPE.context // KEPT_OF_A_PROMPT
    short = training()
    longest = int(it.workspace(short, base, 1).sequences.longest)
    assert it.fit(it.workspace(short, base, 1), point(it, epochs=1), 1, 0).most_new == longest < made.most_new


def test_an_overfitted_model_answers_what_it_learned_and_stops(base: Path) -> None:
    pair = pd.DataFrame({"prompt": ["Why?"] * 8, "response": ["So."] * 8})
    it, data = family("full"), training()
    own = Training(pair, np.full(8, 3.0), None, data.folds, data.problem, data.loss, data.metric, text=PAIR)
    made = it.fit(it.workspace(own, base, 1), point(it, epochs=30, step=1.0, batch_size=8), 30, 0)
    assert made.respond(["Why?"], 20) == ["So."]


def test_a_chat_template_is_used_and_the_assistant_s_words_alone_are_learned(tmp_path: Path) -> None:
    made = Writer.load(tiny_generator(tmp_path, template=CHAT))
    form, text = Format(made), made.tokenizer.decode
    (prompt,), (response,) = form.prompts(["Why?"]), form.responses(["So."], in_chat=True)
    assert text(prompt, skip_special_tokens=False) == "<|user|>Why?<|end|>\n<|assistant|>"
    assert text(response, skip_special_tokens=False) == "So.<|end|>"
    assert form.ends[0] == made.tokenizer.token_to_id("<|end|>")
    made.save(tmp_path / "again")
    assert Writer.load(tmp_path / "again").template == CHAT


def test_a_template_that_reaches_for_python_is_refused(tmp_path: Path) -> None:
    made = Writer.load(tiny_generator(tmp_path, template="{{ messages.__class__.__mro__[1].__subclasses__() }}"))
    with pytest.raises(Refusal, match="chat template of the base can't be rendered"):
        Format(made).prompts(["Why?"])


def test_a_token_that_ends_a_text_is_text_where_a_user_writes_it(writer: Writer) -> None:
    (tokens,) = Format(writer).responses(["a<|endoftext|>b"], in_chat=True)
    assert tokens.count(writer.end) == 1
    assert Format(writer).text(tokens) == "a<|endoftext|>b"


def test_plain_text_is_learned_whole(writer: Writer) -> None:
    sequences = Sequences.of(writer, training(("text",)).X)
    assert set(sequences.n_given.tolist()) == {1}
    every = Format(writer).responses(training(("text",)).X["text"].tolist(), in_chat=False)
    assert sequences.n_learned.sum() == sum(map(len, every))


def test_an_encoder_is_refused_by_name_and_a_generator_to_an_encoder(base: Path, tmp_path: Path) -> None:
    from tasks.model._encoder import check

    encoder = tiny_encoder(tmp_path)
    with pytest.raises(Refusal, match="is an encoder, which writes nothing; give it to model=text_encoder"):
        Writer.load(encoder)
    with pytest.raises(Refusal, match="writes; give it to model=text_generator"):
        check(base)
    assert TextEncoder.__name__ != TextGenerator.__name__


@pytest.mark.parametrize(("fault", "said"), [
    ("tokenizer", "its tokenizer doesn't fit the model: it has 3"), ("pickle", "no weights as safetensors"),
    ("code", r"auto_map"), ("end", "names no eos_token_id"), ("unread", r"tokenizer.json can't be read \("),
    ("beyond", "its eos_token_id=5000 is no token of the model, which knows 300; correct it in config.json"),
    ("ordinary", r"its bos_token_id=40 is no special token of its tokenizer \(it is 'H'\)"),
])  # fmt: skip
def test_a_folder_that_does_not_fit_is_refused(fault: str, said: str, base: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(base, folder)
    config = json.loads((folder / "config.json").read_text())
    if fault == "tokenizer":
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokenizer.add_tokens([f"new{k}" for k in range(40)])
        tokenizer.save(str(folder / "tokenizer.json"))
    elif fault == "pickle":
        (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    elif fault == "code":
        (folder / "config.json").write_text(json.dumps({**config, "auto_map": {"AutoModel": "x.Y"}}))
    elif fault == "unread":
        (folder / "tokenizer.json").write_text("{}")
    else:
        changed = {"end": {"eos_token_id": None}, "beyond": {"eos_token_id": 5000}, "ordinary": {"bos_token_id": 40}}
        (folder / "config.json").write_text(json.dumps({**config, **changed[fault]}))
        (folder / "generation_config.json").unlink()
    with pytest.raises(Refusal, match=said):
        Writer.load(folder)


def test_a_folder_is_looked_at_without_its_weights(base: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(base, folder)
    (folder / "model.safetensors").write_bytes(b"")
    assert faults(folder) == doubts(folder) == []


def test_a_tokenizer_that_may_be_another_model_s_is_told_of_and_its_own_end_ends_a_response_too(tmp_path: Path) -> None:
    folder = tiny_generator(tmp_path, vocab_size=2000)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.add_special_tokens(["</s>"])
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": "</s>"}))
    assert faults(folder) == []
    assert doubts(folder) == [
        "its tokenizer has 301 tokens, and the model knows 2,000, most of which are never read or written; is "
        "tokenizer.json this model's?",
        "its tokenizer ends a text with </s>, and config.json with <|endoftext|>: the latter is learned, and both end "
        "a response",
    ]
    made = replace(Writer.load(tiny_generator(tmp_path / "own")), tokenizer=tokenizer, special={"eos_token": "</s>"})
    assert made.ends == [tokenizer.token_to_id("<|endoftext|>"), tokenizer.token_to_id("</s>")]


@pytest.mark.parametrize("way", [*TRAINED, "from_scratch"])
def test_a_value_that_the_user_fixes_holds_in_every_strategy(way: str) -> None:
    fixed = {"batch_size": 4, "epochs": 1, "warm_up": 0.05, "learning_rate": 1e-4, "step": 0.5, "l2_sp": 0.1}
    it = family(way, *(f"model.text_generator.hyperparameters.{key}={value}" for key, value in fixed.items()),
                knobs=Knobs({"step": None, "l2_sp": 0.0}, {"step": 0.3}, {"step": [0.1, 0.3]}, {}))  # fmt: skip
    assert {key: it.hyperparameters[key] for key in fixed} == fixed
    assert not {*it.space, *it.start, *it.grid} & set(fixed)


def test_what_the_user_leaves_open_is_the_strategy_s_and_searched_where_the_user_says() -> None:
    usual, asked = family("lora"), family("lora", "model.text_generator.space={warm_up: [0.1, 0.2]}")
    assert usual.hyperparameters["learning_rate"] == usual.by_strategy["lora"]["hyperparameters"]["learning_rate"]
    assert {**usual.space, "warm_up": [0.1, 0.2]} == asked.space
    assert usual.start["epochs"] == usual.by_strategy["lora"]["start"]["epochs"]


def test_a_shape_that_can_not_be_is_refused() -> None:
    it = family("from_scratch", "model.text_generator.new.width=30")
    assert it.check(Problem("generation", "y", ()), NextToken()) == [
        "model.text_generator.new.width=30 is no multiple of model.text_generator.new.heads=4; each head takes an "
        "equal part."
    ]


@pytest.mark.parametrize(("given", "checkpointing", "said"), [
    ({"batch_size": 16, "accumulation": 1}, "false",
     "at batch_size=16: try model.text_generator.hyperparameters.batch_size=4, or a larger "
     "model.text_generator.hyperparameters.accumulation, or model.text_generator.checkpointing=true, or shorter texts"),
    ({"batch_size": 1, "accumulation": 1}, "false",
     "at batch_size=1: try model.text_generator.checkpointing=true, or shorter texts, or a smaller base"),
    ({"batch_size": 1, "accumulation": 1}, "true", "at batch_size=1: try shorter texts, or a smaller base"),
])  # fmt: skip
def test_what_to_lower_is_named_where_memory_runs_out(
    given: dict[str, int], checkpointing: str, said: str, base: Path
) -> None:
    it = family("full", f"model.text_generator.checkpointing={checkpointing}")
    workspace = it.workspace(training(), base, 1)
    assert workspace.writer.is_plain
    workspace.writer.net.base_model.register_forward_pre_hook(out_of_memory)
    with pytest.raises(Refusal, match=re.escape(f"out of memory {said}")):
        it.validate(workspace, 0, point(it, **given), 0)


def test_what_to_lower_is_named_where_a_model_has_no_room_or_can_not_answer(base: Path) -> None:
    wide = family("from_scratch", "model.text_generator.new.width=4294967296")
    with pytest.raises(Refusal, match="while the model was brought to device=cpu: try shorter texts, or a smaller"):
        wide.workspace(training(), None, 1)
    made = Fitted.load(base)
    assert made.writer.is_plain
    made.writer.net.base_model.register_forward_pre_hook(out_of_memory)
    with pytest.raises(Refusal, match="out of memory while it was judged: try shorter texts, or a smaller base"):
        made.predict(training().X)
    with pytest.raises(Refusal, match="out of memory while it wrote: try shorter texts, or a smaller base"):
        made.respond(["Why?"])


def test_a_model_from_nothing_learns_its_own_tokens_and_can_write_any_text() -> None:
    made = fit("from_scratch", None, epochs=1)
    assert made.writer.vocabulary <= SHAPE.vocabulary
    assert made.n_frozen == 0
    text = "größe 絵 \U0001f98a\n\tx"
    assert made.writer.tokenizer.decode(made.writer.tokenizer.encode(text).ids) == text
