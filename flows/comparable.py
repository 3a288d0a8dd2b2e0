"""Whether choices can be compared: they share data, folds, metric and budget, and differ in something."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from flows import config
from flows.config import Composed
from flows.overrides import key_of, sweep
from flows.overrides import varied as varied_in
from tasks.refusal import Refusal

# What all choices share, by its path in the configuration: what would be changed with it.
SHARED = {
    "source": "the data",
    "problem": "the problem",
    "base": "how the columns are read",
    "source_data": "what rehearsal trains on",
    "holdout": "the holdout",
    "folds": "the folds",
    "seed": "the folds",
    "metric": "what is selected on",
    "search.trials": "the budget",
    "search.seconds": "the budget",
}
# What decides nothing of a result.
IDLE = (
    "check", "promotion", "cost", "slices", "runner", "tracking", "model_name", "pretrain", "resume", "output",
    "allow_packages",
)  # fmt: skip
NO_PROMOTION = "promotion=never"


def choices(overrides: Sequence[str]) -> dict[str, list[str]]:
    """The override list of each choice, by name, without keys that only others have. Racing is off in it unless it was
    asked for or the budget is a time: with it searches spend unequal numbers of fold fits. No choice is promoted unless
    that was asked for: each would be one more try on the same holdout.

    Raises:
        Refusal: when no key has several values, or what was typed can't be parsed.
    """
    combinations = sweep(overrides)
    if len(combinations) < 2:
        raise Refusal(
            "no key has several values to compare: write two or more with commas between them, such as "
            "search=random,genetic or model.lightgbm.hyperparameters.num_leaves=15,31 (names of yours in quotes)."
        )
    combinations = config.fitted(combinations)
    keys = {key_of(text) for text in overrides}
    more = [] if "promotion" in keys else [NO_PROMOTION]
    more += [] if keys & {"search.racing", "search.seconds"} else ["search.racing=null"]
    return {name: [*texts, *more] for name, texts in combinations.items()}


def check(overrides: Sequence[str], composed: Mapping[str, Composed]) -> None:
    """Nothing where the choices differ in what may differ, and in that alone. composed: of each choice.

    Raises:
        Refusal: with all faults at once.
    """
    varied = varied_in(overrides)
    idle = [text for text in varied if key_of(text).partition(".")[0] in IDLE]
    faults = [
        *_unlike(varied, composed.values()),
        *(f"{text} decides nothing of a result, so there is nothing to compare; give it one value." for text in idle),
        *_ensembles(composed),
    ]
    faults += [] if faults else _alike(composed)
    if faults:
        raise Refusal(*dict.fromkeys(faults))


def _unlike(varied: Sequence[str], composed: Any) -> Iterator[str]:
    for path, what in SHARED.items():
        if len({repr(_at(one.recorded, path)) for one in composed}) < 2:
            continue
        own = " ".join([text for text in varied if _overlap(key_of(text), path)] or varied)
        yield (
            f"{own} changes {what}, so that scores could not be compared; `finefold run --multirun {own}` runs each."
        )


def _ensembles(composed: Mapping[str, Composed]) -> Iterator[str]:
    for one in composed.values():
        if (ensemble := one.choices["ensemble"]) != "none":
            yield (
                f"ensemble={ensemble}: an ensemble has no score of each fold to pair with another's; leave it out. "
                "Every run with one says whether it beats its best trial."
            )


def _alike(composed: Mapping[str, Composed]) -> Iterator[str]:
    for name, one in composed.items():
        twin = next(other for other, its in composed.items() if its.recorded == one.recorded)
        if twin != name:
            yield f"{twin} and {name} are the same configuration; name each choice once."


def _at(node: Mapping[str, Any], path: str) -> Any:
    for part in path.split("."):
        node = node[part]
    return node


def _overlap(key: str, path: str) -> bool:
    return f"{key}.".startswith(f"{path}.") or f"{path}.".startswith(f"{key}.")
