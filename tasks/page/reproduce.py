"""Reproduce: what was asked, what that came to, and all that decides the same result."""

from __future__ import annotations

import json

from tasks.page._blocks import Block, Code, Facts, Folded, Section, Table
from tasks.page._values import Values

N_LETTERS = 40_000


def section(values: Values) -> Section:
    """The commands, the choices that `auto` came to, digests, seed and versions."""
    setting = values.setting
    facts = [
        ("seed", str(setting.seed)), ("data digest", values.prepared.digest), ("split digest", values.split.digest),
        ("study", setting.study), ("run", setting.run_id), ("date", setting.date), ("machine", setting.machine),
    ]  # fmt: skip
    facts += [("commit", setting.commit)] if setting.commit else []
    blocks: list[Block] = [Code("\n".join(setting.commands), "To run it again"), Facts(facts)]
    choices = [[name, _listed(value)] for name, value in sorted(setting.choices.items()) if value not in (None, "", [])]
    blocks.append(Table("What was chosen in each group", ("group", "choice"), choices, "ll"))
    versions = [[name, version] for name, version in setting.versions.items()]
    blocks.append(Table("Versions", ("package", "version"), versions, "ll"))
    config = json.dumps(setting.config, indent=1, ensure_ascii=False, default=str)
    cut = "\n… (whole in config.json of the MLflow run)" * (len(config) > N_LETTERS)
    blocks.append(Folded("The whole configuration", [Code(config[:N_LETTERS] + cut, "Configuration")]))
    return Section("reproduce", "How to reproduce", blocks, in_card=2)


def _listed(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
