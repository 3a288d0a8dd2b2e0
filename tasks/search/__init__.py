"""Searches: how the next hyperparameters are proposed from the trials so far."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from tasks.records import Proposal
from tasks.refusal import Refusal, did_you_mean
from tasks.search import _portfolio, _range
from tasks.search._portfolio import MADE_FOR
from tasks.search._range import inside
from tasks.search._when import Condition, read_conditions

FAMILY = "model"
Setting = tuple[str, Mapping[str, Any]]  # a family, and values of some of its hyperparameters


@dataclass(frozen=True)
class FamilySpace:
    """What is searched of one family of models: a distribution per free hyperparameter, the values of all others,
    where the search starts (what it proposes lies inside the space, the start itself need not), the family's own
    short grid, its portfolio (settings that are known to be good, cheap ones first), and which hyperparameters are
    searched only where others have certain values."""

    free: Mapping[str, BaseDistribution]
    fixed: Mapping[str, Any]
    start: Mapping[str, Any]
    grid: Mapping[str, Sequence[Any]]
    portfolio: Sequence[Mapping[str, Any]] = ()
    when: Mapping[str, Condition] = field(default_factory=dict)

    def fixing(self, values: Mapping[str, Any]) -> FamilySpace:
        """With these hyperparameters, as far as they were free, no longer searched."""
        known = {key: value for key, value in values.items() if key in self.free}
        free = {key: it for key, it in self.free.items() if key not in known}
        start = {key: it for key, it in self.start.items() if key not in known}
        grid = {key: it for key, it in self.grid.items() if key not in known}
        return replace(self, free=free, fixed={**self.fixed, **known}, start=start, grid=grid)

    def starting(self, values: Mapping[str, Any]) -> FamilySpace:
        """With these hyperparameters as the start, whether they are searched or not."""
        fixed, start = ({**known, **{key: values[key] for key in known if key in values}}
                        for known in (self.fixed, self.start))  # fmt: skip
        return replace(self, fixed=fixed, start=start)

    def of_table(self, n_rows: int, n_classes: int) -> FamilySpace:
        """With the part of its portfolio first that was made for a table of so many training rows and classes."""
        return replace(self, portfolio=_portfolio.ordered(self.portfolio, n_rows, n_classes))

    def is_searched(self, key: str, values: Mapping[str, Any]) -> bool:
        """Whether a free hyperparameter has an effect beside these values of the others."""
        return key not in self.when or self.when[key].holds({**self.start, **self.fixed, **values})

    def complete(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """All hyperparameters: the given values of those that are searched beside them, else fixed, else the start."""
        searched = {key: value for key, value in values.items() if key in self.free and self.is_searched(key, values)}
        return {**self.fixed, **self.start, **searched}

    def nearest(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """A value inside the space for every hyperparameter that is searched, as near as can be to the given ones."""
        near = {key: inside(it, values.get(key, self.start.get(key))) for key, it in self.free.items()}
        return {key: value for key, value in near.items() if self.is_searched(key, near)}


@dataclass(frozen=True)
class Space:
    """The families side by side. In a study their hyperparameters are named `family.name`; of one family, `name`.
    `warm` are settings that an earlier search found good, best first. seconds: what a trial of each family costs, where
    the portfolios are to take turns by time; else they do by number."""

    families: Mapping[str, FamilySpace]
    warm: Sequence[Setting] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)

    def fixing(self, values: Mapping[str, Mapping[str, Any]]) -> Space:
        """With these hyperparameters, by family, no longer searched."""
        families = {name: space.fixing(values.get(name, {})) for name, space in self.families.items()}
        return replace(self, families=families)

    def starting(self, values: Mapping[str, Mapping[str, Any]]) -> Space:
        """With these hyperparameters, by family, as the start."""
        families = {name: space.starting(values.get(name, {})) for name, space in self.families.items()}
        return replace(self, families=families)

    def of_table(self, n_rows: int, n_classes: int, seconds: Mapping[str, float]) -> Space:
        """With what was made for a table of so many training rows and classes before the rest of its portfolio; and
        what trials cost there, see `seconds`."""
        families = {name: space.of_table(n_rows, n_classes) for name, space in self.families.items()}
        return replace(self, families=families, seconds=seconds)

    def name(self, family: str, hyperparameter: str) -> str:
        return hyperparameter if len(self.families) == 1 else f"{family}.{hyperparameter}"

    def distributions(self, family: str) -> dict[str, BaseDistribution]:
        return {self.name(family, key): value for key, value in self.families[family].free.items()}

    def firsts(self) -> list[dict[str, Any]]:
        """The parameters of a study's first trials: the start of each family, what an earlier search found, then the
        portfolios, families in turn, where their costs are known each as often as it is cheap; each moved inside the
        space, and none twice."""
        starts = [(family, space.start) for family, space in self.families.items()]
        turns = [((place + 1) * self.seconds.get(family, 1.0), family, one)
                 for family, space in self.families.items() for place, one in enumerate(space.portfolio)]  # fmt: skip
        portfolio = [(family, one) for _, family, one in sorted(turns, key=lambda turn: turn[0])]
        found: dict[str, dict[str, Any]] = {}
        for family, values in [*starts, *self.warm, *portfolio]:
            params = self.params(family, self.families[family].nearest(values))
            found.setdefault(self.point(params), params)
        return list(found.values())

    def params(self, family: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """A family's hyperparameters as a study names them."""
        named = {self.name(family, key): value for key, value in values.items()}
        return named if len(self.families) == 1 else {FAMILY: family, **named}

    def setting(self, params: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """The family that a trial's parameters name, and its free hyperparameters among them."""
        family = next(iter(self.families)) if len(self.families) == 1 else str(params[FAMILY])
        names = {key: self.name(family, key) for key in self.families[family].free}
        return family, {key: params[name] for key, name in names.items() if name in params}

    def proposal(self, trial: FrozenTrial) -> Proposal:
        """The family and all its hyperparameters, the free and the fixed, that a study's trial stands for."""
        family, values = self.setting(trial.params)
        return Proposal(trial.number, family, self.families[family].complete(values))

    def point(self, params: Mapping[str, Any]) -> str:
        """What tells proposals apart: parameters without an effect don't."""
        family, values = self.setting(params)
        return repr((family, sorted(self.families[family].complete(values).items())))

    def trial(self, params: Mapping[str, Any], attributes: Mapping[str, Any] | None = None) -> FrozenTrial:
        """A running trial of these parameters; `attributes` are what the search itself notes of it."""
        family, _ = self.setting(params)
        known = {FAMILY: CategoricalDistribution(tuple(self.families)), **self.distributions(family)}
        distributions = {name: known[name] for name in params}
        state, noted = TrialState.RUNNING, dict(attributes or {})
        return create_trial(state=state, params=dict(params), distributions=distributions, system_attrs=noted)

    def first_new(self, view: Sequence[FrozenTrial], candidates: Iterable[Mapping[str, Any]]) -> dict[str, Any] | None:
        """The first of the candidates' parameters that no earlier trial stands for; None where there is none."""
        seen = {self.point(trial.params) for trial in view}
        return next((dict(params) for params in candidates if self.point(params) not in seen), None)


def noted_when_asked(trial: FrozenTrial) -> dict[str, Any]:
    """What a search noted of a trial that it proposed, without the limits that the trial was then found to exceed."""
    return {key: value for key, value in trial.system_attrs.items() if not key.startswith("constraints:")}


def excess(trial: FrozenTrial) -> float:
    """By what shares, all together, the trial exceeds its limits; 0 where it holds them."""
    return sum(share for share in trial.constraints.values() if share > 0)


class Search(Protocol):
    """A way to search. It keeps nothing between calls: what it proposes follows from its arguments alone."""

    def ask(
        self, space: Space, view: Sequence[FrozenTrial], seed: int, *, is_higher_better: bool
    ) -> FrozenTrial | None:
        """Trial number len(view), running, with its parameters; None where there is nothing left to try.

        view: all earlier trials in order; those still out are shown as running, whatever has come of them since. The
        `constraints` of a told one say by how much it exceeds each limit, at most 0 where it holds it.
        """
        ...

    def n_trials(self, space: Space, requested: int) -> int:
        """How many trials this search makes of a budget.

        Raises:
            Refusal: when the budget is too small for a search that must visit every point.
        """
        ...


def family_space(
    name: str,
    hyperparameters: Mapping[str, Any],
    start: Mapping[str, Any],
    space: Mapping[str, Any],
    grid: Mapping[str, Any],
    portfolio: Sequence[Mapping[str, Any]] = (),
) -> FamilySpace:
    """The space of a family from its YAML, as overridden by the user.

    Raises:
        Refusal: for a hyperparameter the family doesn't have, or a range that is none; all faults at once.
    """
    space, conditions, faults = read_conditions(f"model.{name}.space", space, hyperparameters)
    free = {}
    for key, entry in space.items():
        if key not in hyperparameters:
            faults.append(f"model.{name}.space.{key}: {_no_such(name, key, hyperparameters)}")
        elif entry is not None and hyperparameters[key] is None:
            try:
                free[key] = _range.read(entry, start.get(key))
            except (TypeError, ValueError, KeyError) as error:
                faults.append(
                    f"model.{name}.space.{key}={entry}: {error}; write {{low: 1, high: 100, log: true}} or a list."
                )
    faults += [
        f"model.{name}.hyperparameters.{key} must be a number, got {value!r}."
        for key, value in hyperparameters.items()
        if _range.is_number(start.get(key)) and value is not None and not _range.is_number(value)
    ]
    faults += [
        f"model.{name}.portfolio: {_no_such(name, key, hyperparameters)}"
        for key in dict.fromkeys(key for one in portfolio for key in one if key not in {*hyperparameters, MADE_FOR})
    ]
    faults += _portfolio.faults(f"model.{name}.portfolio", portfolio)
    lacking = [key for key, value in hyperparameters.items() if value is None and key not in free and key not in start]
    faults += [f"model.{name}.hyperparameters.{key} has neither a value, nor a space, nor a start." for key in lacking]
    if faults:
        raise Refusal(*faults)
    fixed = {key: start[key] if value is None else value for key, value in hyperparameters.items() if key not in free}
    return FamilySpace(
        free,
        fixed,
        {key: start.get(key, inside(value, None)) for key, value in free.items()},
        {key: values for key, values in grid.items() if key in free},
        portfolio,
        {key: condition for key, condition in conditions.items() if key in free},
    )


def _no_such(name: str, key: str, hyperparameters: Mapping[str, Any]) -> str:
    return f"{name} has no hyperparameter {key!r}{did_you_mean(key, hyperparameters)}"
