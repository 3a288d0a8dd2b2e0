"""Split: seal the holdout by a stable hash of each row, and draw the folds among the rest."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks import parquet
from tasks.folds import Rows, Splitter, draw, read_folds, write_folds
from tasks.records import Prepared, Problem, Split
from tasks.refusal import Refusal
from tasks.store import write_folder

Codes = npt.NDArray[np.int64]
MIN_HOLDOUT_ROWS = 2
# At a fifth the hash holds out 2 to 11 of 30 rows (in 95 % of all tables), of 100 rows 12 to 28.
FEW_ROWS = 50
FEWEST_ROWS = 10  # 2 held out, 8 for folds; below it no score tells one model from another
MANY_HELD = 20  # from which on a holdout's scores need no word of caution


@task(name="split", task_run_name="split", cache_policy=NO_CACHE, persist_result=False)
def split(prepared: Prepared, splitter: Splitter, folds: str, fraction: float, root: str = "data") -> Split:
    """Training rows with folds, and the sealed holdout, under `<root>/splits/<digest>/`.

    folds: the name of the splitter, as the user chose it.
    fraction: of the rows that go to the holdout; a published test split of `prepared` takes its place.

    Raises:
        Refusal: when a side would be empty, or the folds can't be drawn.
    """
    made = _split(prepared, splitter, folds, fraction, Path(root) / "splits")
    parquet.give_back_memory()
    return made


def _split(prepared: Prepared, splitter: Splitter, folds: str, fraction: float, root: Path) -> Split:
    source = Path(prepared.folder)
    roles = pd.read_parquet(source / "roles.parquet")
    is_held = None  # of each row; None where a published split is held out
    if (source / "test_features.parquet").exists():
        train_roles, held_roles = roles, pd.read_parquet(source / "test_roles.parquet")
    else:
        _check_number(prepared)
        _check_groups(roles, splitter, prepared)
        is_held = _is_held_out(roles, fraction, prepared)
        train_roles, held_roles = roles[~is_held], roles[is_held]
    _check_sides(train_roles, held_roles, prepared)
    y = train_roles["target"].to_numpy(dtype=np.float64)
    classes = [str(label) for label in prepared.problem.classes] or None
    groups = _group_codes(train_roles)
    times = train_roles["time"].to_numpy() if "time" in train_roles else None
    drawn = draw(splitter, y, groups, times, classes=classes, name=folds)
    digest = _digest(prepared.digest, is_held, drawn)

    def fill(folder: Path) -> None:
        parquet.write_frame(folder / "train_roles.parquet", train_roles)
        parquet.write_frame(folder / "holdout_labels.parquet", held_roles)
        _divide_features(source, folder, is_held)
        write_folds(folder, drawn)
        if is_held is not None:
            np.save(folder / "is_held.npy", np.packbits(is_held))

    folder = write_folder(root / digest, fill)
    rare = _class_notes(y, held_roles["target"].to_numpy(), drawn, prepared.problem)
    few = _size_notes(len(held_roles), drawn, is_drawn=is_held is not None and _is_ranked(prepared))
    return Split(
        str(folder),
        digest,
        len(train_roles),
        len(held_roles),
        len(drawn),
        _growth(len(train_roles), drawn),
        (*rare, *few),
    )


@task(name="outer-split", task_run_name="outer-split-{fold}", cache_policy=NO_CACHE, persist_result=False)
def outer_split(
    prepared: Prepared, whole: Split, splitter: Splitter, folds: str, fold: int, root: str = "data"
) -> Split:
    """What one fold trains on as a split of its own, with folds drawn among these rows, and what it validates in the
    place of the holdout; of the sealed holdout nothing.

    Raises:
        Refusal: when the folds can't be drawn among fewer rows.
    """
    source = Path(whole.folder)
    sides = read_folds(source)[fold]
    roles = pd.read_parquet(source / "train_roles.parquet")
    train_roles, held_roles = (roles.iloc[rows].reset_index(drop=True) for rows in sides)
    y = train_roles["target"].to_numpy(dtype=np.float64)
    classes = [str(label) for label in prepared.problem.classes] or None
    times = train_roles["time"].to_numpy() if "time" in train_roles else None
    try:
        drawn = draw(splitter, y, _group_codes(train_roles), times, classes=classes, name=folds)
    except Refusal as refusal:
        where = f"evaluation=nested: among the {len(y):,} rows that fold {fold} trains on: "
        raise Refusal(*(where + fault for fault in refusal.faults)) from None

    def fill(folder: Path) -> None:
        parquet.write_frame(folder / "train_roles.parquet", train_roles)
        parquet.write_frame(folder / "holdout_labels.parquet", held_roles)
        for side, rows in zip(("train", "holdout"), sides, strict=True):
            parquet.write_frame(
                folder / f"{side}_features.parquet", parquet.take(source / "train_features.parquet", rows)
            )
        write_folds(folder, drawn)

    digest = _digest(f"{whole.digest} fold {fold}", None, drawn)
    folder = write_folder(Path(root) / "splits" / digest, fill)
    growth = _growth(len(y), drawn)
    return Split(str(folder), digest, len(y), len(held_roles), len(drawn), growth, ())


def _group_codes(train: pd.DataFrame) -> Codes | None:
    """(n_train,) numbers in the order of the groups' names, for the names of millions of rows would be as many Python
    objects; None where there are no groups."""
    return pd.factorize(train["group"], sort=True)[0] if "group" in train else None


def _divide_features(source: Path, folder: Path, is_held: npt.NDArray[np.bool_] | None) -> None:
    sides = (folder / "train_features.parquet", folder / "holdout_features.parquet")
    if is_held is not None:
        parquet.divide(source / "features.parquet", is_held, sides)
        return
    for name, side in zip(("features", "test_features"), sides, strict=True):
        shutil.copyfile(source / f"{name}.parquet", side)


def _growth(n_train: int, folds: Sequence[tuple[Rows, Rows]]) -> float:
    """Of K folds K/(K-1); more of folds in time, most of which learned from far fewer rows."""
    return n_train / fmean(len(train) for train, _ in folds)


def _is_held_out(roles: pd.DataFrame, fraction: float, prepared: Prepared) -> npt.NDArray[np.bool_]:
    if prepared.has_time:  # the last rows; rows of one moment stay together
        times = roles["time"].to_numpy()
        return np.asarray(times >= np.quantile(times, 1 - fraction, method="higher"))
    if _is_ranked(prepared):
        return _of_few(roles, fraction, prepared)
    # A hash is uniform on [0, 2^64), so its leading 53 bits, as a fraction of one, are uniform on [0, 1).
    uniform = (roles["hash"].to_numpy() >> np.uint64(11)).astype("float64") / 2.0**53
    return np.asarray(uniform < fraction)


def _is_ranked(prepared: Prepared) -> bool:
    return prepared.n_rows < FEW_ROWS and not prepared.has_time


def _of_few(roles: pd.DataFrame, fraction: float, prepared: Prepared) -> npt.NDArray[np.bool_]:
    """Of each class the share itself, of those whose hashes are least, so that neither the size of the holdout nor a
    class in it is left to chance. Equal rows, and groups, have one hash and stay together; a group's classes aren't
    told apart."""
    first = roles.drop_duplicates("hash")
    by_class = prepared.problem.is_classification and not prepared.has_group
    strata = [one for _, one in first.groupby("target")] if by_class else [first]
    held: list[int] = []
    for stratum in strata:
        n = round(fraction * len(stratum))
        least = MIN_HOLDOUT_ROWS if len(strata) == 1 else min(1, len(stratum) // 3)  # of two rows none can be spared
        held += stratum["hash"].sort_values().head(max(n, least)).tolist()
    return roles["hash"].isin(held).to_numpy()


def _check_number(prepared: Prepared) -> None:
    if prepared.n_rows < FEWEST_ROWS:
        raise Refusal(
            f"{prepared.name} has {prepared.n_rows} rows with a target, and at least {FEWEST_ROWS} are needed: a few "
            "are sealed as the holdout, and of fewer in folds no score tells a better model from a worse one. Label "
            "more rows; a base can be used as it is until then, and holdout.path=FILE spares the holdout."
        )


def _check_groups(roles: pd.DataFrame, splitter: Splitter, prepared: Prepared) -> None:
    """Fewer groups than the folds and the holdout need are told here, before an empty side is."""
    if not prepared.has_group or prepared.has_time:
        return
    n_groups, n_splits = roles["group"].nunique(), getattr(splitter, "n_splits", 2)
    if n_groups <= n_splits:
        remedy = f"set folds.n_splits={n_groups - 1}" if n_groups > 2 else "name another source.group"
        raise Refusal(
            f"folds.n_splits={n_splits} is too many: source.group has {n_groups} groups, and the holdout takes some; "
            f"{remedy}."
        )


def _check_sides(train: pd.DataFrame, held: pd.DataFrame, prepared: Prepared) -> None:
    if len(held) >= MIN_HOLDOUT_ROWS and len(train) >= MIN_HOLDOUT_ROWS:
        return
    what = "times" if prepared.has_time else "groups" if prepared.has_group else "rows"
    raise Refusal(
        f"holdout.fraction leaves {len(train)} rows to train on and {len(held)} for the holdout, of "
        f"{prepared.n_rows}; too few different {what}: choose another holdout.fraction or holdout.seed."
    )


def _class_notes(
    y: npt.NDArray[np.float64], held: npt.NDArray[np.float64], folds: list[Any], problem: Problem
) -> list[str]:
    """What to say of classes with few rows. y: (n_train,) and held: (n_held,) class codes."""
    notes = []
    for code, label in enumerate(problem.classes):
        n_held = int((held == code).sum())
        lacking = [k for k, (_, valid) in enumerate(folds) if not (y[valid] == code).any()]
        if n_held < 5:
            notes.append(f"class {label} has {n_held} row{'s' * (n_held != 1)} in the holdout; scores of it say little")
        if lacking:
            notes.append(f"class {label} has no row in the validation part of {len(lacking)} of {len(folds)} folds")
    return notes


def _size_notes(n_held: int, folds: list[Any], *, is_drawn: bool) -> list[str]:
    """What to say of few rows."""
    notes = []
    if is_drawn:
        notes.append(
            f"of fewer than {FEW_ROWS} rows exactly the share is sealed, of each class too; as the table grows, some "
            "rows may change sides"
        )
    if n_held < MANY_HELD:
        notes.append(f"the holdout has {n_held} rows only: trust its intervals, and the folds more than its scores")
    if all(len(valid) == 1 for _, valid in folds):
        notes.append("every fold validates on one row alone: leave-one-out")
    return notes


def _digest(prepared: str, is_held: npt.NDArray[np.bool_] | None, folds: list[Any]) -> str:
    digest = hashlib.sha256(f"{prepared} with is_held.npy".encode())  # folders without it are of an earlier version
    if is_held is not None:
        digest.update(np.packbits(is_held).tobytes())
    for fold in folds:
        for rows in fold:
            digest.update(np.asarray(rows, dtype="int64").tobytes())
    return digest.hexdigest()[:16]
