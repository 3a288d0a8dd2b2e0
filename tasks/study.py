"""A study on disk: an Optuna journal that `optuna-dashboard` opens, and beside it every finished fold."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
import optuna
from optuna.storages.journal import JournalFileBackend, JournalStorage
from optuna.trial import FrozenTrial, Trial, TrialState

from tasks.records import FoldScore, Proposal, TrialResult
from tasks.store import locked, write_file

JOURNAL = "journal.log"


@dataclass(frozen=True)
class FoldRecord:
    """A finished fold as it is stored: its score, its learning curve, its predictions, (n_valid,) or
    (n_valid, n_classes) float32, and the cost by round where the family computed it."""

    score: FoldScore
    curve: tuple[tuple[int, float], ...]
    prediction: npt.NDArray[np.float32]
    costs: tuple[tuple[int, float], ...] = ()


class Study:
    """An opened study. Only the process that holds its lock asks and tells; see `opened`."""

    def __init__(self, folder: Path, name: str, *, is_higher_better: bool) -> None:
        self.folder = folder
        self.name = name
        self._study = optuna.create_study(
            storage=JournalStorage(JournalFileBackend(str(folder / JOURNAL))),
            study_name=name,
            load_if_exists=True,
            direction="maximize" if is_higher_better else "minimize",
            sampler=optuna.samplers.RandomSampler(0),
        )

    @property
    def optuna(self) -> optuna.Study:
        """The study itself, for plots and importances."""
        return self._study

    def trials(self) -> list[FrozenTrial]:
        """All trials in order, the told and the running."""
        return self._study.get_trials(deepcopy=False)

    def add(self, trial: FrozenTrial) -> FrozenTrial:
        """Takes a proposal into the study as a running trial, in one record of the journal."""
        self._study.add_trial(trial)
        return self.trials()[-1]

    def tell(self, result: TrialResult) -> FrozenTrial:
        """Ends a trial: complete with its mean over the folds, or with the estimate of it where racing ended the trial
        early (a sampler learns from both, and pruned trials are ignored by some), or failed."""
        number = result.proposal.number
        trial = Trial(self._study, self.trials()[number]._trial_id)
        trial.set_user_attr("folds", [asdict(fold) for fold in result.folds])
        trial.set_user_attr("seconds", result.seconds)
        for key, value in (("error", result.error), ("estimate", result.estimate)):
            if value is not None:
                trial.set_user_attr(key, value)
        known = self.trials()[number].constraints  # of a process that was killed in the middle of telling
        for key, share in result.excess.items():
            if key not in known:
                trial.set_constraint(key, share)  # which Optuna's samplers learn from
        if result.error is not None:
            self._study.tell(number, state=TrialState.FAIL)
        else:
            self._study.tell(number, result.score)
        return self.trials()[number]

    @staticmethod
    def told(trial: FrozenTrial, proposal: Proposal) -> TrialResult:
        """The result that a finished trial was told with."""
        kept = trial.user_attrs
        folds, error = tuple(map(FoldScore.read, kept["folds"])), kept.get("error")
        return TrialResult(proposal, folds, error, False, kept.get("estimate"), kept["seconds"], trial.constraints)

    def abandoned(self) -> list[str]:
        """The names of earlier studies of the same digest that no process works on."""
        digest = self.name.rpartition("-")[0]
        folders = [path for path in self.folder.parent.iterdir() if path.name.isdigit() and path != self.folder]
        return [f"{digest}-{path.name}" for path in folders if _is_free(path)]

    def remember(self, key: str, value: Any) -> None:
        """Keeps a value with the study."""
        self._study.set_user_attr(key, value)

    def recall(self, key: str) -> Any:
        """The value kept under a key, or None."""
        return self._study.user_attrs.get(key)


def loaded(folder: Path) -> optuna.Study:
    """The study in a folder, read beside whatever run may be writing it: a journal is only ever appended to.

    Raises:
        KeyError, ValueError: when its journal holds no study that can be read.
    """
    return optuna.load_study(study_name=None, storage=JournalStorage(JournalFileBackend(str(folder / JOURNAL))))


@contextmanager
def opened(root: Path, digest: str, *, is_higher_better: bool, anew: bool = False) -> Iterator[Study]:
    """The study of a digest, locked against other processes, mended if a kill left it torn.

    root: the folder of all studies. anew: begins another study of the same digest beside the earlier ones.

    Raises:
        Refusal: when another process has it open.
    """
    number = _latest(root, digest) + (1 if anew or not _latest(root, digest) else 0)
    folder = root / digest / str(number)
    busy = f"another run is working on this very search ({folder}); wait for it, or add resume=never."
    with locked(folder, busy):
        _mend(folder / JOURNAL)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            optuna.logging.set_verbosity(optuna.logging.ERROR)
            yield Study(folder, f"{digest}-{number}", is_higher_better=is_higher_better)


def digest_of(identity: Mapping[str, Any]) -> str:
    """The digest of all that decides a study's result."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True, default=str).encode()).hexdigest()[:16]


def fold_file(study: Path, proposal: Proposal, fold: int) -> Path:
    """Where a fold is kept: by hyperparameters, not by trial, since within a study they alone decide its result."""
    sample = {} if proposal.n_rows is None else {"n_rows": proposal.n_rows}
    name = digest_of({"family": proposal.family, **proposal.hyperparameters, **sample})
    return study / "folds" / name / f"{fold}.npz"


def adapters_folder(study: Path, proposal: Proposal, fold: int) -> Path:
    """Where what a fold trained is kept alone, for families that have adapters; beside its whole model, if that is kept
    for an ensemble, which goes when others are better."""
    return fold_file(study, proposal, fold).with_suffix(".adapters")


def write_fold(path: Path, record: FoldRecord) -> None:
    """Writes a finished fold, whole or not at all."""
    meta = json.dumps({"score": asdict(record.score), "curve": record.curve, "costs": record.costs})

    def write(target: Path) -> None:
        with target.open("wb") as file:
            np.savez(file, meta=np.array(meta), prediction=record.prediction)

    write_file(path, write)


def read_fold(path: Path) -> FoldRecord | None:
    """The stored fold, or None where there is none that can be read."""
    if not path.exists():
        return None
    try:
        with np.load(path) as file:
            meta = json.loads(str(file["meta"]))
            curve, costs = (tuple((n, v) for n, v in meta.get(name, ())) for name in ("curve", "costs"))
            return FoldRecord(FoldScore.read(meta["score"]), curve, file["prediction"], costs)
    except (ValueError, KeyError, EOFError, BadZipFile):
        return None


def _is_free(folder: Path) -> bool:
    with (folder / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def _latest(root: Path, digest: str) -> int:
    folder = root / digest
    return (
        max((int(path.name) for path in folder.iterdir() if path.name.isdigit()), default=0) if folder.is_dir() else 0
    )


def _mend(journal: Path) -> None:
    """Cuts a record that a kill tore (Optuna loads such a journal and then fails in ask), and removes the lock that
    a killed process left in it (Optuna would wait 30 s). Safe because we hold the study's own lock."""
    for stale in journal.parent.glob(f"{journal.name}.lock*"):
        stale.unlink(missing_ok=True)
    if not journal.exists():
        return
    content = journal.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        os.truncate(journal, whole)
