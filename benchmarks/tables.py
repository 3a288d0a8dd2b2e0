"""The tables of the quality benchmark, each with one holdout for everybody: a fifth of its rows, drawn with seed 42."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

HOLDOUT_FRACTION, HOLDOUT_SEED = 0.2, 42
METRICS = {"binary": "roc_auc", "multiclass": "log_loss", "regression": "rmse"}
ADULT_COLUMNS = (
    "age", "workclass", "fnlwgt", "education", "education_num", "marital_status", "occupation", "relationship", "race",
    "sex", "capital_gain", "capital_loss", "hours_per_week", "native_country", "income",
)  # fmt: skip
# Shares of the made table's classes; covertype's (Blackard and Dean 1999) as published.
SHARES = (0.365, 0.488, 0.062, 0.005, 0.016, 0.030, 0.034)
MADE_ROWS, MADE_SEED = 90_000, 7


@dataclass(frozen=True)
class Raw:
    """A whole table. `time`: the column that orders it in time, which is no feature; the holdout is then its end."""

    frame: pd.DataFrame
    target: str
    time: str | None = None


@dataclass(frozen=True)
class Divided:
    """A table on disk: `train.parquet` and `test.parquet` in `folder`, rows in time's order where there is a `time`.
    `classes` are the target's values in the order of their codes; of two the second is the positive one."""

    name: str
    folder: str
    digest: str
    target: str
    time: str | None
    problem: str
    metric: str
    classes: tuple[str | int, ...]
    n_train: int
    n_test: int

    def y_test(self) -> np.ndarray:
        """(n_test,) float64: class codes, or the target."""
        target = pd.read_parquet(Path(self.folder) / "test.parquet", columns=[self.target])[self.target]
        if self.problem != "regression":
            return target.map({label: code for code, label in enumerate(self.classes)}).to_numpy(dtype=np.float64)
        return target.to_numpy(dtype=np.float64)


def telco(folder: Path) -> Raw:
    frame = pd.read_csv(folder / "telco.csv", na_values=[" "])  # blanks in TotalCharges
    return Raw(frame.drop(columns="customerID"), "Churn")


def housing(folder: Path) -> Raw:
    return Raw(pd.read_csv(folder / "housing.csv"), "median_house_value")


def adult(folder: Path) -> Raw:
    """Both published parts together."""
    files = (folder / "adult_train.csv", folder / "adult_test.csv")
    parts = [pd.read_csv(file, names=ADULT_COLUMNS, skipinitialspace=True, na_values=["?"]) for file in files]
    frame = pd.concat(parts, ignore_index=True)
    return Raw(frame.assign(income=frame["income"].str.rstrip(".")), "income")  # the test part ends them with a stop


def bike(folder: Path) -> Raw:
    """`casual` and `registered` add up to the target."""
    frame = pd.read_csv(folder / "bike_hour.csv").drop(columns=["instant", "casual", "registered"])
    frame["dateday"] = pd.to_datetime(frame["dateday"], format="%d-%m-%Y")
    return Raw(frame.sort_values(["dateday", "hour"], kind="stable", ignore_index=True), "count", "dateday")


def shipped(name: str) -> Raw:
    """One that scikit-learn ships."""
    from sklearn import datasets

    frame = getattr(datasets, f"load_{name}")(as_frame=True).frame
    return Raw(frame.rename(columns=lambda column: str(column).replace(" ", "_")), "target")


def made() -> Raw:
    """90,000 rows, 10 numbers, 44 indicators of two categorical columns, 7 classes of which one has 0.5 % of the rows:
    the size and shape of covertype at a sixth of its rows, reproducible without a download."""
    from sklearn.datasets import make_classification

    X, y = make_classification(
        MADE_ROWS, 12, n_informative=12, n_redundant=0, n_classes=len(SHARES), n_clusters_per_class=6,
        weights=list(SHARES), class_sep=1.2, flip_y=0.02, random_state=MADE_SEED,
    )  # fmt: skip
    frame = pd.DataFrame(X[:, :10].astype(np.float32), columns=[f"x{k}" for k in range(10)])
    for name, column, n_levels in (("area", X[:, 10], 4), ("soil", X[:, 11], 40)):
        level = pd.qcut(column, n_levels, labels=False)
        frame = frame.assign(**{f"{name}{k}": (level == k).astype(np.int8) for k in range(n_levels)})
    return Raw(frame.assign(cover=y + 1), "cover")


FROM_FILES: dict[str, Callable[[Path], Raw]] = {"telco": telco, "housing": housing, "adult": adult, "bike": bike}
WITHOUT_FILES: dict[str, Callable[[], Raw]] = {
    "made": made,
    **{name: (lambda name=name: shipped(name)) for name in ("breast_cancer", "wine", "digits", "diabetes")},
}
NAMES = (*FROM_FILES, *WITHOUT_FILES)


def divided(name: str, published: Path | None, root: Path) -> Divided:
    """The table, divided and written below `root`; read from there when it is there already.

    published: the folder of the files that `FROM_FILES` read.
    """
    folder = root / name
    if not (folder / "table.json").exists():
        if name in FROM_FILES:
            assert published is not None
            raw = FROM_FILES[name](published)
        else:
            raw = WITHOUT_FILES[name]()
        _write(name, raw, folder)
    values = json.loads((folder / "table.json").read_text())
    return Divided(**{**values, "classes": tuple(values["classes"])})


def _write(name: str, raw: Raw, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    y, problem = raw.frame[raw.target], _problem(raw.frame[raw.target])
    train, test = _sides(raw, None if problem == "regression" else y)
    digest = hashlib.sha256()
    for side, rows in (("train", train), ("test", test)):
        part = raw.frame.iloc[rows].reset_index(drop=True)
        part.to_parquet(folder / f"{side}.parquet", index=False)
        digest.update(pd.util.hash_pandas_object(part, index=False).to_numpy().tobytes())
    classes = () if problem == "regression" else tuple(sorted(y.unique().tolist()))
    table = Divided(
        name, str(folder), digest.hexdigest()[:12], raw.target, raw.time, problem, METRICS[problem], classes,
        len(train), len(test),
    )  # fmt: skip
    (folder / "table.json").write_text(json.dumps(asdict(table), indent=1))


def _problem(y: pd.Series) -> str:
    if pd.api.types.is_numeric_dtype(y) and y.nunique() > 20:
        return "regression"
    return "binary" if y.nunique() == 2 else "multiclass"


def _sides(raw: Raw, strata: pd.Series | None) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the rows to train on, and of the holdout; whole moments stay together in time."""
    rows = np.arange(len(raw.frame))
    if raw.time is not None:
        times = raw.frame[raw.time]
        is_held = (times >= times.iloc[round(len(rows) * (1 - HOLDOUT_FRACTION))]).to_numpy()
        return rows[~is_held], rows[is_held]
    from sklearn.model_selection import train_test_split

    train, test = train_test_split(rows, test_size=HOLDOUT_FRACTION, random_state=HOLDOUT_SEED, stratify=strata)
    return np.sort(train), np.sort(test)
