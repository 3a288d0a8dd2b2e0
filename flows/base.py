"""Base: the model that a run goes on from, in a folder of its own, checked before anything is trained."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from flows import config as configs
from flows.build import resolve
from flows.config import Composed
from flows.decide import Job
from flows.overrides import key_of
from flows.plan import Plan
from tasks import base_folder, given_rows, hub, provenance, registry, seen
from tasks.base_fit import Takes
from tasks.model import own_files, writes
from tasks.refusal import Refusal
from tasks.source_rows import has_source_rows
from tasks.strategy import NEED_A_BASE, WITHOUT_A_FAMILY, trains_on_source

BASES = Path("data") / "bases"
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


def with_own_family(overrides: Sequence[str]) -> list[str]:
    """The overrides, and where they name a base and no family `model=` of the base's own. A family that an experiment
    names stays, but for the default one, which can't be told from none."""
    keys = {key_of(text) for text in overrides}
    if "model" in keys or not keys & {"base", "experiment"}:
        return list(overrides)
    names_it = {"base", "experiment", "tracking.uri", "allow_packages"}
    composed = configs.compose([text for text in overrides if key_of(text) in names_it])
    chosen = composed.choices["model"]
    is_named = "experiment" in keys and chosen != configs.compose([]).choices["model"]
    if composed.config.base is None or is_named:
        return list(overrides)
    uri = composed.config.tracking.uri
    folder = _found(composed, None if uri is None else resolve(uri, "tracking.uri"))
    family = _family(folder)
    is_choice = family in configs.groups()["model"] and chosen != [family]
    return [f"model={family}", *overrides] if is_choice else list(overrides)


def base_of(composed: Composed, planned: Plan) -> Path | None:
    """The folder of the model to go on from, or None.

    Raises:
        Refusal: when there is no such model, it is unsafe or was tampered with, or none that the run's families go on
            from in that way; all faults at once.
    """
    if composed.config.base is None:
        return None
    folder = _found(composed, planned.tracking_uri)
    if faults := _unfit(composed, planned, folder):
        raise Refusal(*faults)
    if planned.source_data is None:
        return folder
    return given_rows.with_rows(folder, planned.source_data, planned.roles, composed.config.holdout.seed, BASES)


@contextmanager
def naming(base: str | None) -> Iterator[None]:
    """What a table lacks for its base is said with the base as it was typed."""
    try:
        yield
    except Refusal as refusal:
        faults = (f"base={base}:{fault[5:]}" if fault.startswith("base:") else fault for fault in refusal.faults)
        raise Refusal(*faults) from None


def _found(composed: Composed, tracking_uri: str | None) -> Path:
    named = resolve(str(composed.config.base), "base")
    given, origin = _given(named, tracking_uri)
    folder = base_folder.model_in(given, named)
    base_folder.check(folder, f"base={named}", composed.config.allow_packages)
    return base_folder.stored(folder, origin, BASES)


def _given(named: str, tracking_uri: str | None) -> tuple[Path, str]:
    """Where the base lies on this machine, and where it came from."""
    if registry.is_address(named):
        return registry.download(named, tracking_uri), named
    folder = Path(named).expanduser()
    if folder.is_dir():
        return folder, str(folder.resolve())
    if HUB_ID.fullmatch(named):
        snapshot = hub.download(named)
        return snapshot, hub.page(named, snapshot)
    raise Refusal(
        f"base={named}: there is no such folder; name a registered model (models:/NAME@champion), the model of a run "
        "(runs:/ID/model), a folder, or an id on huggingface.co (OWNER/NAME)."
    )


def _unfit(composed: Composed, planned: Plan, folder: Path) -> list[str]:
    """What the run's families and its strategy can't do with this base."""
    named, strategy = composed.config.base, composed.choices["strategy"]
    family, others = _family(folder), [name for name in composed.config.model if name != _family(folder)]
    if fault := _writes_or_not(planned, family):
        return [f"base={named} is a {family} model, {fault}"]
    faults = []
    if family == base_folder.GENERATOR:
        from tasks.model import text_generator  # torch takes seconds to import

        faults += [f"base={named}: {one}" for one in text_generator.faults(own_files(folder))]
    if strategy not in WITHOUT_A_FAMILY and others:
        faults.append(
            f"base={named} is a {family} model, from which model={','.join(others)} can't go on by "
            f"strategy={strategy}; choose model={family}, or a strategy of {', '.join(WITHOUT_A_FAMILY)}."
        )
    elif strategy not in WITHOUT_A_FAMILY and _is_wrapped(folder):
        faults.append(
            f"base={named} is a {family} model within another ({_module(own_files(folder))}), from which "
            f"strategy={strategy} can't go on; choose a strategy of {', '.join(WITHOUT_A_FAMILY)}, or what it was made "
            "of as the base."
        )
    if base_folder.is_encoder(folder) and strategy in NEED_A_BASE:
        faults.append(
            f"strategy={strategy}: base={named} is an encoder without a head, which predicts nothing by itself; choose "
            "another strategy, such as feature_extraction."
        )
    elif planned.source_data is not None:
        faults += _rows_unfit(composed, folder)
    elif trains_on_source(planned.strategy, planned.families.values()) and not has_source_rows(folder):
        faults.append(_keeps_no_rows(strategy, named, folder))
    return faults


def _keeps_no_rows(strategy: str, named: str | None, folder: Path) -> str:
    why = "is an encoder without a target, so it has no rows of a source; leave rehearsal out."
    if not base_folder.is_encoder(folder):
        why = ("keeps no rows of its source; give them by source_data=FILE, train the base by `finefold pretrain`, "
               "which keeps them, or choose another strategy.")  # fmt: skip
    rehearsal = "" if strategy == "pooled" else " with strategy.hyperparameters.rehearsal"
    return f"strategy={strategy}{rehearsal}: base={named} {why}"


def _writes_or_not(planned: Plan, family: str) -> str:
    """What keeps families that write from going on from one that doesn't, or the other way round; '' where nothing."""
    wanted = any(writes(one) for one in planned.families.values())
    if wanted == (family == base_folder.GENERATOR):
        return ""
    if wanted:
        return (f"which writes nothing; model={base_folder.GENERATOR} goes on from a causal language model, such as "
                "GPT-2 or Llama.")  # fmt: skip
    return (f"which writes, and from which model={','.join(planned.families)} can't go on; choose "
            f"model={base_folder.GENERATOR} with source.prompt and source.response, or another base.")  # fmt: skip


def _rows_unfit(composed: Composed, folder: Path) -> list[str]:
    named, given = composed.config.base, composed.config.source_data
    if base_folder.is_encoder(folder):
        return [f"source_data={given}: base={named} is an encoder without a target of its own; leave source_data out."]
    if has_source_rows(folder):
        return [f"source_data={given}: base={named} keeps rows of its source itself; leave source_data out."]
    return []


def _family(folder: Path) -> str:
    known = provenance.read(folder)
    assert known is not None  # `stored` sees to it
    return known.family


def _module(folder: Path) -> str:
    return str(json.loads((folder / base_folder.FAMILY).read_text())["module"])


def _is_wrapped(folder: Path) -> bool:
    """Whether a strategy or an ensemble made it of models of the family: its files are not the family's own."""
    if base_folder.is_encoder(folder):
        return False
    module = _module(own_files(folder))
    return module.startswith(("tasks.strategy.", "tasks.model._"))


def takes(*plans: Plan) -> Takes:
    """What the strategy of every plan, or all of its families as they go on, can learn that the base doesn't know."""

    def says(one: Plan, what: str) -> bool:
        return getattr(one.strategy, what, False) or all(getattr(it, what, False) for it in one.families.values())

    return Takes(
        all(says(one, "takes_new_classes") for one in plans), all(says(one, "takes_new_levels") for one in plans)
    )


def seen_by_base(job: Job, base: Path) -> int:
    """How many rows of the holdout a base, or one that it came from, was trained on, as far as that can be told."""
    seed = job.decided.composed.config.holdout.seed
    today = seen.Today(Path(job.prepared.folder), Path(job.split.folder), seed)
    mask = today.seen_by(seen.read(base))
    return 0 if mask is None else int(mask.sum())


def told_of(base: Path, composed: Composed) -> list[str]:
    """What is to be said of a base: what it is, where it and its rows come from, and which licences aren't known."""
    named, strategy, known = composed.config.base, composed.choices["strategy"], provenance.read(base)
    assert known is not None  # `stored` sees to it
    licence = f", {known.licence}" if known.licence else ""
    said = [f"goes on by strategy={strategy} from {named}, a {known.family} model from {known.origin}{licence}"]
    if given := known.source.get("given"):
        said.append(f"source_data: the base may have been trained on rows of {given}; its scores there may flatter it")
    if known.family == base_folder.GENERATOR:
        from tasks.model import text_generator

        said += [f"base={named}: {one}" for one in text_generator.doubts(own_files(base))]
    unknown = [named] if known.licence is None else []
    unknown += [ancestor.base for ancestor in known.lineage if ancestor.licence is None]
    said += [f"the licence of base {one} is unknown; find out whether its model may be used so" for one in unknown]
    return said
