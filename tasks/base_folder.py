"""A folder as a model to go on from: what is refused in it, and its copy by content, which nothing changes any more."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tasks import provenance
from tasks.provenance import Provenance
from tasks.refusal import Refusal
from tasks.store import write_folder

FAMILY = "family.json"
ENCODER = "text_encoder"  # the family that goes on from a folder in Hugging Face's form
GENERATOR = "text_generator"  # and that of a causal language model
AS_OURS = {"module": "tasks.model.text_generator", "name": "Fitted"}
OF_A_GENERATOR = ("ForCausalLM", "LMHeadModel")  # its class in transformers
# Formats that run code when they are read, or may.
UNSAFE = {".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib", ".dill"}
OF_AN_ENCODER = (".json", ".txt", ".safetensors", ".model", ".jinja")
# The first bytes of protocols 2 to 5, and an opcode. Safetensors begin with the length of their header, of which the
# third byte is smaller.
PICKLE = re.compile(rb"\x80[\x02-\x05][\x28-\xff]")
OURS = "tasks."
REMEDY = "a base is read from LightGBM's text, safetensors, skops and JSON alone"


def model_in(folder: Path, named: str) -> Path:
    """Where in a folder the model lies: in itself, or where MLflow puts what was logged.

    Raises:
        Refusal: where there is none.
    """
    for place in (folder, folder / "artifacts" / "model", folder / "model"):
        if is_ours(place) or is_encoder(place) or writes(place):
            return place
    raise Refusal(
        f"base={named} is no model: neither one that finefold registered (family.json, schema.json) nor one in Hugging "
        "Face's form (config.json, *.safetensors, tokenizer)."
    )


def is_ours(folder: Path) -> bool:
    return (folder / FAMILY).is_file() and (folder / "schema.json").is_file()


def is_encoder(folder: Path) -> bool:
    """Whether it is a model in Hugging Face's form, which has neither columns nor classes."""
    return (folder / "config.json").is_file() and not (folder / FAMILY).is_file()


def writes(folder: Path) -> bool:
    """Whether a model in Hugging Face's form is a causal language model, by what its `config.json` says it was saved
    as."""
    path = folder / "config.json"
    names = _read(path).get("architectures") if path.is_file() else None
    known = [str(name) for name in names] if isinstance(names, list) else []
    return any(name.endswith(OF_A_GENERATOR) for name in known)


def check(folder: Path, named: str, allow_packages: Sequence[str]) -> None:
    """
    Raises:
        Refusal: for every file that may run code, isn't what `base.json` says, or can't be read; all at once. named:
            the model as it is told of, such as base=DIR.
    """
    found = [*_unsafe(folder, allow_packages), *_changed(folder)] or [*_unreadable(folder)]
    if found:
        raise Refusal(*(f"{named}: {fault}" for fault in found))


def _unreadable(folder: Path) -> Iterator[str]:
    """Files that end in their middle, or were edited by hand."""
    readers: dict[str, Callable[[Path], object]] = {
        ".json": lambda path: json.loads(path.read_text(encoding="utf-8")),
        ".npy": lambda path: np.load(path, mmap_mode="r", allow_pickle=False),
        ".parquet": pq.read_schema,
    }
    for path in sorted(path for path in folder.rglob("*") if path.suffix in readers):
        try:
            readers[path.suffix](path)
        except (ValueError, OSError, pa.ArrowException) as error:
            why = str(error).strip().splitlines() or [type(error).__name__]
            yield f"{path.relative_to(folder).as_posix()} can't be read ({why[0]}); fetch the model again."
    problem = folder / "problem.json"
    said = _read(problem) if problem.is_file() else {}
    if said and (lacking := {"kind", "target", "classes"} - said.keys()):
        yield f"problem.json doesn't say {', '.join(sorted(lacking))}; fetch the model again."


def _unsafe(folder: Path, allow_packages: Sequence[str]) -> Iterator[str]:
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        if path.suffix.lower() in UNSAFE or _is_pickle(path):
            yield f"{name} may hold code that is run when it is read; {REMEDY}: remove it, or convert it."
        elif path.suffix == ".skops" and (types := _untrusted(path)):
            yield f"{name} holds {', '.join(types)}, which no model of ours does."
        elif path.name.endswith("config.json") and "auto_map" in _read(path):
            yield f"{name} has auto_map, which names code to be downloaded and run; use a model without it."
        elif path.name == FAMILY:
            module = str(_read(path).get("module", ""))
            if not f"{module}.".startswith((OURS, *(f"{package}." for package in allow_packages))):
                yield f"{name} names the module {module}; to allow it: allow_packages=[{module.partition('.')[0]}]."
    if is_encoder(folder) and not list(folder.glob("*.safetensors")):
        yield "there are no *.safetensors in it; save the weights with save_pretrained(..., safe_serialization=True)."
    if is_encoder(folder) and not (folder / "tokenizer.json").exists():
        yield (
            "tokenizer.json is missing; transformers writes it: "
            "AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)."
        )


def _is_pickle(path: Path) -> bool:
    """By its content, whatever its name: a bare pickle, or a zip with one in it, as torch writes it."""
    with path.open("rb") as file:
        first = file.read(4)
    if PICKLE.match(first):
        return True
    if first != b"PK\x03\x04" or not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(Path(name).suffix in UNSAFE for name in archive.namelist())


def _untrusted(path: Path) -> list[str]:
    from tasks.model import _inputs, _skops, forest, linear

    known = {*_inputs.TRUSTED, *forest.TRUSTED, *linear.TRUSTED}
    try:
        return [name for name in _skops.get_untrusted_types(file=path) if name not in known]
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        return [f"what can't be read ({error})"]


def _read(path: Path) -> dict[str, object]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _changed(folder: Path) -> Iterator[str]:
    try:
        known = provenance.read(folder)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        yield f"{provenance.FILE} can't be read ({error})."
        return
    if known is None:
        return
    if not isinstance(known.files, dict) or not isinstance(known.source, dict):
        yield f"{provenance.FILE} doesn't say which files and which source are the model's; fetch the model again."
        return
    found = provenance.digests(folder)
    for path in (FAMILY, "schema.json"):
        if path in found and path not in known.files and FAMILY in found:
            yield f"{path} is none of the files that {provenance.FILE} names; fetch the model again."
    for path, digest in known.files.items():
        if found.get(path) != digest:
            what = "is missing" if path not in found else "was changed since the model was registered"
            yield f"{path} {what}: its sha256 is not that of {provenance.FILE}; fetch the model again."


def stored(folder: Path, origin: str, root: Path) -> Path:
    """The model's copy, `<root>/<digest>/`, named by its content: the files that `base.json` names and no others. Where
    there is no `base.json` it is written: it comes from `origin`, and the licence stands in the model's card."""
    known = provenance.read(folder)
    if known is None:
        files = provenance.digests(folder)
        if is_encoder(folder):
            files = {path: digest for path, digest in files.items() if path.endswith(OF_AN_ENCODER)}
        known = replace(found_out(folder, origin), files=files)
    text = known.as_json()
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]

    def fill(place: Path) -> None:
        for path in known.files:
            (place / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / path, place / path)
        (place / provenance.FILE).write_text(text, encoding="utf-8")
        if is_encoder(place) and writes(place):  # it predicts as it is, so it is loaded as one of ours
            (place / FAMILY).write_text(json.dumps(AS_OURS))

    return write_folder(root / digest, fill)


def found_out(folder: Path, origin: str) -> Provenance:
    """What can be known of a model that is none of ours, without its files' digests; its licence stands in its card."""
    of_text = GENERATOR if writes(folder) else ENCODER
    family = of_text if is_encoder(folder) else str(_read(folder / FAMILY)["module"]).rpartition(".")[2]
    return Provenance(
        family=family,
        source={"name": "unknown", "digest": "", "rows": 0, "kept": {}},
        licence=_licence(folder),
        origin=origin,
        metric=None,
        scores={},
        versions={},
        date="",
    )


def _licence(folder: Path) -> str | None:
    """What the model card's head says: https://huggingface.co/docs/hub/model-cards#specifying-a-license"""
    card = folder / "README.md"
    text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""
    head = text.split("---")[1] if text.startswith("---") else ""
    found = re.search(r"^license(?:_name)?:\s*[\"']?([^\s\"'#]+)", head, re.MULTILINE)
    return found[1] if found else None
