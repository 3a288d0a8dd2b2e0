"""`python -m benchmarks.parity [tables=DIR] [rows=4000] [only=lightgbm,mlp] [formats=onnx,savedmodel] [int8=1]`: each
family with its start values on real tables (telco, housing, adult, bike and SST-2 in DIR) and on a made one that holds
what is hard (epoch seconds, times, gaps, levels of digits), written in each format and compared with the model on the
whole holdout and on hard rows, in a fresh process.

rows: the most of a table that are used. Ends with status 1 where one is too far from its model.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import KFold

from benchmarks import arguments, report
from benchmarks import tables as real
from flows.build import build
from flows.config import compose
from tasks import metric as metrics
from tasks import predictor
from tasks.export import export
from tasks.folds import draw
from tasks.loss.cross_entropy import CrossEntropy
from tasks.loss.mse import MSE
from tasks.model import Training
from tasks.prepare import prepare
from tasks.records import Exported, Parity, Prepared, Roles, Split, Trained
from tasks.refusal import Refusal
from tasks.search import family_space
from tasks.source.file import File
from tasks.split import split

FAMILIES = ("lightgbm", "linear", "forest", "mlp", "text_encoder")
FORMATS = ("onnx", "savedmodel")
TABLES = {"telco": real.telco, "housing": real.housing, "adult": real.adult, "bike": real.bike}
ROUNDS = 100
HEADINGS = ("table", "family", "format", "rows", "hard rows", "largest difference", "99.9 %", "flips", "ties",
            "writing, s", "MB", "rows/s", "the model itself, rows/s", "within")  # fmt: skip


def main() -> None:
    arguments.check(("tables", "rows", "only", "formats", "int8"))
    families, formats = arguments.names("only", FAMILIES), arguments.names("formats", FORMATS)
    lines, is_within = [], True
    with tempfile.TemporaryDirectory() as place:
        for name, frame, target in tables(report.argument("rows", 4000)):
            for family in families:
                if (family == "text_encoder") == (name == "sst2"):
                    found = list(compared(Path(place) / name, name, frame, target, family, formats))
                    is_within &= all(one[-1] != "no" for one in found)
                    lines += found
                    print(*(" ".join(map(str, one)) for one in found), sep="\n", file=sys.stderr)
    print(report.table(HEADINGS, lines))
    print(f"\n{report.machine(1)}")
    sys.exit(0 if is_within else 1)


def tables(most: int) -> Iterator[tuple[str, pd.DataFrame, str]]:
    yield "made", made(most), "y"
    folder = Path(arguments.text("tables", "nowhere"))
    for name, read in TABLES.items() if folder.is_dir() else ():
        raw = read(folder)
        yield name, raw.frame.sample(min(most, len(raw.frame)), random_state=0), raw.target
    if (folder / "sst2_train.tsv").exists():
        texts = pd.read_csv(folder / "sst2_train.tsv", sep="\t", header=None, names=["said", "y"])
        texts["y"] = np.where(texts["y"] == 1, "good", "bad")
        yield "sst2", texts.sample(min(most, len(texts)) // 4, random_state=0), "y"


def made(n: int) -> pd.DataFrame:
    """Numbers that float32 doesn't hold, gaps, levels of digits, times, equal values, and a number far outside."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame({
        "since epoch": 1.7e9 + random.integers(0, 10**6, n) + 0.5, "cents": random.normal(size=n).round(2),
        "few": random.choice([0.0, 0.1, 2.5], n), "far": random.normal(size=n),
        "code": random.choice(["007", "12", "Köln"], n), "member": random.choice([True, False], n),
        "seen": pd.Timestamp("2019-12-28") + pd.to_timedelta(random.integers(0, 10**6, n), unit="min"),
    })  # fmt: skip
    frame.loc[::97, "far"] = 999_999.0
    score = frame["cents"] + frame["member"] + (frame["since epoch"] % 10**5 > 5e4) + (frame["code"] == "12")
    for column in ("cents", "code", "seen"):
        frame.loc[random.random(n) < 0.1, column] = None
    return frame.assign(y=np.array(["a", "b", "c"])[np.digitize(score + random.normal(size=n) / 2, [0.5, 2])])


def compared(
    place: Path, name: str, frame: pd.DataFrame, target: str, family: str, formats: Sequence[str]
) -> Iterator[list[Any]]:
    trained, divided = fitted(place, frame, target, family)
    int8 = str(bool(report.argument("int8", 0)) and family in ("mlp", "text_encoder")).lower()
    config = compose([f"export.formats=[{','.join(formats)}]", f"export.int8={int8}", f"model={family}"]).config
    for form in formats:
        built = build(config.format[form], f"format.{form}")
        try:
            (done,) = export.fn({form: built}, trained, divided, 20_000)
        except Refusal as refusal:
            yield [name, family, form, str(refusal), *[""] * (len(HEADINGS) - 5), "refused"]
            continue
        yield from lines_of(name, family, done)


def lines_of(name: str, family: str, done: Exported) -> Iterator[list[Any]]:
    def line(of: Parity) -> list[Any]:
        return [name, family, of.name, f"{of.n_rows:,}", of.n_hard, f"{of.largest:.1e}", f"{of.of_999:.1e}", of.flips,
                of.ties, f"{of.seconds:.1f}", f"{of.megabytes:.2f}", f"{of.rows_per_second:,.0f}",
                f"{of.model_rows_per_second:,.0f}", "yes" if of.is_within else "no"]  # fmt: skip

    yield from map(line, done.parity)


def fitted(place: Path, frame: pd.DataFrame, target: str, family: str) -> tuple[Trained, Split]:
    """A family with its start values on the training rows."""
    place.mkdir(parents=True, exist_ok=True)
    frame.to_csv(place / "table.csv", index=False)
    source, roles = File(str(place / "table.csv"), None, None, None), Roles(
        target, (), (), (), (), (), None, None, None, None, False
    )  # fmt: skip
    reads_text = family == "text_encoder"
    prepared = prepare.fn(source, roles, "auto", None, 0, None, str(place / "data"), reads_text=reads_text)
    divided = split.fn(prepared, KFold(3), "kfold", 0.2, str(place / "data"))
    it: Any = build(compose([f"model={family}"]).config.model[family], f"model.{family}")
    space = family_space(family, it.hyperparameters, it.start, it.space, it.grid)
    model = it.fit(it.workspace(training_of(prepared, divided), None, 1), {**space.fixed, **space.start},
                   min(ROUNDS, getattr(it, "rounds", ROUNDS)), 0)  # fmt: skip
    folder = place / family
    predictor.save(model, Path(prepared.folder), folder)
    return Trained(str(folder), family, model.n_parameters, None), divided


def training_of(prepared: Prepared, divided: Split) -> Training:
    folder, problem = Path(divided.folder), prepared.problem
    X = pd.read_parquet(folder / "train_features.parquet")
    y = pd.read_parquet(folder / "train_roles.parquet")["target"].to_numpy(dtype=np.float64)
    loss = CrossEntropy() if problem.is_classification else MSE()
    metric = metrics.default(problem.kind)
    return Training(X, y, None, draw(KFold(3), y, None, None), problem, loss, metric, text=prepared.text)


if __name__ == "__main__":
    main()
