"""A base's folder is copied by its content, and what may run code in it or was changed is refused by name."""

from __future__ import annotations

import json
import pickle
import shutil
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from bases import base_of, encoder_in, sealed, source
from sklearn.preprocessing import FunctionTransformer

from tasks import model as models
from tasks import provenance
from tasks.base_folder import FAMILY, check, model_in, stored
from tasks.refusal import Refusal


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return base_of(source(), tmp_path_factory.mktemp("made"))


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "base")


def refusal(folder: Path, *packages: str) -> tuple[str, ...]:
    with pytest.raises(Refusal) as refused:
        check(folder, "base=b", packages)
    return refused.value.faults


def test_a_sound_base_is_copied_under_its_content_and_loads(folder: Path, tmp_path: Path) -> None:
    check(folder, "b", ())
    (folder / "notes.md").write_text("of mine")
    copy = stored(folder, "b", tmp_path / "bases")
    assert stored(folder, "elsewhere", tmp_path / "bases") == copy
    assert not (copy / "notes.md").exists()
    assert (copy / "source" / "roles.parquet").exists()
    assert models.load(copy).n_parameters > 0


def test_a_base_without_a_record_gets_one_and_of_an_encoder_only_what_holds_no_code(tmp_path: Path) -> None:
    card = "---\nlanguage: en\nlicense: apache-2.0\n---\n# A model"
    folder = encoder_in(tmp_path / "encoder", **{"README.md": card, "modeling.py": "print('hi')"})
    check(folder, "b", ())
    copy = stored(folder, "https://a.example/b", tmp_path / "bases")
    known = provenance.read(copy)
    assert known is not None
    assert (known.family, known.licence, known.origin) == ("text_encoder", "apache-2.0", "https://a.example/b")
    own = {"config.json", "model.safetensors", "tokenizer.json", "vocab.txt"}
    assert {path.name for path in copy.iterdir()} == {"base.json", *own}


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "a.pkl", "deep/b.joblib", "CKPT.PTH"])
def test_a_format_that_may_run_code_is_refused_by_its_name(folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"anything")
    assert refusal(folder)[0].startswith(f"base=b: {name} may hold code that is run when it is read")


def test_a_pickle_is_known_by_its_content_whatever_its_name(folder: Path) -> None:
    (folder / "vocab.txt").write_bytes(pickle.dumps([1, 2]))
    with zipfile.ZipFile(folder / "weights.dat", "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps([1]))
    assert [fault.split()[1] for fault in refusal(folder)] == ["vocab.txt", "weights.dat"]


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("content", [None, 1, "text", {}, [1, 2], np.arange(3)])
def test_every_pickle_of_a_protocol_with_a_mark_is_known(folder: Path, protocol: int, content: Any) -> None:
    (folder / "vocab.txt").write_bytes(pickle.dumps(content, protocol))
    assert refusal(folder)


def test_safetensors_whose_header_is_as_long_as_a_pickles_mark_says_are_taken(folder: Path) -> None:
    header = b"{}".ljust(0x0280)
    (folder / "more.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    assert (folder / "more.safetensors").read_bytes()[:2] == b"\x80\x02"
    check(folder, "b", ())


def test_skops_with_a_type_that_no_model_of_ours_holds_is_refused_with_the_type(folder: Path) -> None:
    skops.io.dump({"f": FunctionTransformer(np.poly1d)}, folder / "odd.skops")
    (fault,) = refusal(folder)
    assert "odd.skops holds" in fault
    assert "poly1d" in fault


def test_a_configuration_that_names_code_to_download_is_refused(tmp_path: Path) -> None:
    remote = json.dumps({"auto_map": {"AutoModel": "someone/else--modeling.Model"}})
    folder = encoder_in(tmp_path / "e", **{"tokenizer_config.json": remote, "config.json": remote})
    assert [fault.split()[1] for fault in refusal(folder)] == ["config.json", "tokenizer_config.json"]
    assert "auto_map" in refusal(folder)[0]


def test_a_folder_that_names_a_module_of_others_is_refused_unless_its_package_is_allowed(folder: Path) -> None:
    (folder / "family.json").write_text(json.dumps({"module": "os.path", "name": "join"}))
    sealed(folder)
    assert "family.json names the module os.path" in refusal(folder)[0]
    check(folder, "base=b", ("os",))


def test_what_was_changed_or_is_missing_is_refused_all_at_once(folder: Path) -> None:
    (folder / "booster.txt").write_text((folder / "booster.txt").read_text().replace("tree", "three"))
    (folder / "levels.json").unlink()
    faults = refusal(folder)
    assert faults[0].startswith("base=b: booster.txt was changed since the model was registered: its sha256")
    assert faults[1].startswith("base=b: levels.json is missing")


@pytest.mark.parametrize("name", ["schema.json", "levels.json", "problem.json"])
def test_a_file_that_ends_in_its_middle_is_refused_where_no_record_tells_it(folder: Path, name: str) -> None:
    (folder / "base.json").unlink()
    path = folder / name
    path.write_text(path.read_text()[: path.stat().st_size // 2])
    (fault,) = refusal(folder)
    assert fault.startswith(f"base=b: {name} can't be read (")


def test_a_problem_without_its_target_is_refused(folder: Path) -> None:
    (folder / "base.json").unlink()
    (folder / "problem.json").write_text(json.dumps({"kind": "binary", "classes": ["a", "b"]}))
    assert refusal(folder) == ("base=b: problem.json doesn't say target; fetch the model again.",)


def test_trees_that_end_in_their_middle_are_refused_before_they_end_the_process(folder: Path) -> None:
    path = folder / "booster.txt"
    path.write_text(path.read_text().partition("end of trees")[0])
    with pytest.raises(Refusal, match=r"booster\.txt ends in its middle"):
        models.load(folder)


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ("null", "base.json can't be read"),
        ({"files": None}, "base.json doesn't say which files"),
        ({"source": None}, "base.json doesn't say which files"),
        ({"files": {}}, "family.json is none of the files that base.json names"),
    ],
)
def test_a_record_that_was_edited_by_hand_is_refused(folder: Path, record: Any, said: str) -> None:
    path = folder / "base.json"
    path.write_text(record if isinstance(record, str) else json.dumps({**json.loads(path.read_text()), **record}))
    assert refusal(folder)[0].startswith(f"base=b: {said}")


def test_an_encoder_without_safetensors_is_refused(tmp_path: Path) -> None:
    folder = encoder_in(tmp_path / "e")
    (folder / "model.safetensors").unlink()
    assert "there are no *.safetensors" in refusal(folder)[0]


def test_a_folder_that_holds_no_model_is_refused_and_one_that_mlflow_wrote_is_found(
    folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(Refusal, match="base=x is no model: neither one"):
        model_in(tmp_path, "x")
    logged = shutil.copytree(folder, tmp_path / "logged" / "artifacts" / "model")
    assert model_in(tmp_path / "logged", "x") == logged


@pytest.mark.skipif(find_spec("transformers") is None, reason='needs transformers: pip install "finefold[text]"')
def test_a_language_model_is_told_from_an_encoder_and_predicts_as_it_is(tmp_path: Path) -> None:
    from tiny_encoder import tiny_encoder  # which need the extra
    from tiny_generator import tiny_generator

    kept = stored(tiny_generator(tmp_path / "writer"), "w", tmp_path / "bases")
    known = provenance.read(kept)
    assert known is not None
    assert known.family == "text_generator"
    written: Any = models.load(kept)
    assert len(written.respond(["Why?"], 3)) == 1
    assert model_in(kept, "again") == kept
    encoder = stored(tiny_encoder(tmp_path / "encoder"), "e", tmp_path / "bases")
    of_encoder = provenance.read(encoder)
    assert of_encoder is not None
    assert of_encoder.family == "text_encoder"
    assert not (encoder / FAMILY).exists()


def test_an_encoder_without_a_fast_tokenizer_is_refused_with_what_writes_one(tmp_path: Path) -> None:
    folder = encoder_in(tmp_path / "slow")
    (folder / "tokenizer.json").unlink()
    (fault,) = refusal(folder)
    assert "tokenizer.json is missing; transformers writes it: AutoTokenizer" in fault
