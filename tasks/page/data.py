"""Data: the table that the model learned from, and what is the matter with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tasks.page._blocks import Block, Content, Facts, Folded, Points, Remark, Section, Table
from tasks.page._number import percent, plural
from tasks.page._values import Values

MOST_CLASSES, MOST_COLUMNS, FEW_COLUMNS = 30, 300, 12


def section(values: Values) -> Section:
    """Its size and digest, the classes, notes, and every column with what is missing of it."""
    prepared, quality = values.prepared, values.quality
    facts = [
        ("source", prepared.name), ("rows", f"{prepared.n_rows:,}"), ("features", f"{prepared.n_features:,}"),
        ("target", f"{prepared.problem.target} ({prepared.problem.kind})"), *_roles(values),
        ("rows that repeat another", f"{int(quality.get('duplicate_rows', 0)):,}"),
        ("columns with missing values", f"{len(quality.get('missing', {})):,}"), ("digest", prepared.digest),
    ]  # fmt: skip
    blocks: list[Block] = [Facts(facts)]
    if notes := (*prepared.notes, *values.split.notes):
        blocks.append(Points(notes))
    blocks += [_classes(quality["classes"])] if quality.get("classes") else []
    blocks += _columns(values.schema, quality)
    return Section("data", "Data", blocks, _remarks(quality), in_card=1)


def _roles(values: Values) -> list[tuple[str, str]]:
    source = values.setting.config.get("source", {})
    names = ("group", "time", "weight", "key", "drop")
    given = [(name, source.get(name)) for name in names if source.get(name)]
    return [(name, ", ".join(map(str, value)) if isinstance(value, list) else str(value)) for name, value in given]


def _classes(counts: dict[str, int]) -> Table:
    total = sum(counts.values()) or 1
    largest = sorted(counts.items(), key=lambda item: -item[1])[:MOST_CLASSES]
    rows = [[name, f"{n:,}", percent(n / total)] for name, n in largest]
    left = len(counts) - len(rows)
    note = f"{left:,} smaller ones are not shown." * (left > 0)
    return Table("Classes", ("class", "rows", "share"), rows, "lrr", note)


def _columns(schema: Sequence[dict[str, Any]], quality: dict[str, Any]) -> list[Block]:
    """Where there are many, those that lack most values come first, and the rest is folded."""
    missing, levels = quality.get("missing", {}), quality.get("levels", {})
    found: list[tuple[float, list[Content]]] = []
    for column in schema:
        name = str(column["name"])
        share = max([float(missing.get(feature, 0.0)) for feature in _features(column)], default=0.0)
        n = f"{levels[name]:,}" if name in levels else ""
        found.append((share, [name, str(column["kind"]), percent(share) if share else "", n]))
    found = sorted(found, key=lambda one: -one[0])
    rows = [row for _, row in found[:MOST_COLUMNS]]
    head, left = ("column", "kind", "missing", "levels"), len(found) - len(rows)
    note = f"{left:,} more columns are not shown." * (left > 0)
    if len(rows) <= FEW_COLUMNS:
        return [Table("Columns", head, rows, "llrr", note)] if rows else []
    table = Table("Columns, the least complete first", head, rows, "llrr", note)
    return [Folded(plural(len(found), "column"), [table])]


def _features(column: dict[str, Any]) -> list[str]:
    return [str(column["name"]), *(f"{column['name']} ({part})" for part in column.get("parts", ()))]


def _remarks(quality: dict[str, Any]) -> list[Remark]:
    n = int(quality.get("duplicate_rows", 0))
    share = n / max(1, int(quality.get("n_rows", 1)))
    said = f"{plural(n, 'row')} ({percent(share)}) {'repeat' if n != 1 else 'repeats'} another one"
    return [Remark(f"{said}: what is learned of one is asked of the other.", "warn")] if n else []
