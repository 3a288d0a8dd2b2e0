"""Model: what was fitted, from what, and how large and fast it is."""

from __future__ import annotations

from tasks.page._blocks import Block, Code, Facts, Remark, Section, Table
from tasks.page._number import number, short
from tasks.page._values import Values

MOST_LETTERS = 200


def section(values: Values) -> Section:
    """The final fit or the ensemble, its base, and how to use it."""
    named = f"models:/{values.registered.model_name}/{values.registered.model_version}"
    blocks: list[Block] = [Facts([*_fit(values), *_base(values)])]
    blocks += _members(values) if values.combined is not None and values.combined.trained is not None else []
    use = f'import mlflow\n\nmodel = mlflow.pyfunc.load_model("{named}")\nmodel.predict(rows)  # a table of raw rows'
    note = [Remark(values.trained.note, "warn")] if values.trained.note else []
    return Section("model", "The model", [*blocks, Code(use, "To use it")], note, in_card=1)


def _fit(values: Values) -> list[tuple[str, str]]:
    trained, registered = values.trained, values.registered
    found = [
        ("registered as", f"{registered.model_name}, version {registered.model_version}"),
        ("family", trained.family), ("trained on", values.loss),
        ("parameters", f"{trained.n_parameters:,}" + f", {trained.n_frozen:,} of them frozen" * (trained.n_frozen > 0)),
    ]  # fmt: skip
    found += [] if trained.rounds is None else [("rounds", f"{trained.rounds:,}")]
    found += [(f"in the final fit: {name}", short(value)) for name, value in trained.changed.items()]
    if (size := trained.footprint) is not None:
        found.append(("size", f"{number(size.megabytes, 3)} MB"))
        found.append(("speed", f"{number(size.milliseconds, 3)} ms per 1,000 rows on one core"))
    return found


def _base(values: Values) -> list[tuple[str, str]]:
    if not (base := values.base):
        return []
    known = {name: str(base.get(name) or "unknown") for name in ("origin", "licence", "sha256")}
    lineage = [("goes on from", " < ".join(map(str, base["lineage"])))] if base.get("lineage") else []
    return [*lineage, *((f"{name} of the base", value[:MOST_LETTERS]) for name, value in known.items())]


def _members(values: Values) -> list[Block]:
    combined = values.combined
    assert combined is not None
    rows = [
        [f"trial {one.proposal.number}", one.proposal.family, number(one.weight, 3)]
        for one in sorted(combined.members, key=lambda one: -one.weight)
    ]
    caption = f"The ensemble: {len(rows)} of {combined.n_candidates} trials"
    return [Table(caption, ("member", "family", "weight"), rows, "llr")]
