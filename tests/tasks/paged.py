"""A finished run as its report sees it: made up, with something in every section, on files that are really there."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from tasks.page import Section, Setting, Text, Values
from tasks.records import (
    Combined,
    Concluded,
    Evaluation,
    Examined,
    Exported,
    FoldScore,
    Footprint,
    Generated,
    HoldoutScore,
    Member,
    Parity,
    Prepared,
    Problem,
    Proposal,
    Registered,
    Split,
    Trained,
    TrialCounts,
    TrialResult,
    Winner,
)
from tasks.ruling import Ruling
from tasks.schema import Column, Schema
from tasks.selected import Corrected
from tasks.verdict import Finding, Number, Verdict

PICTURES = ("fold_scheme", "search_history", "hyperparameter_importance", "parallel_coordinates", "learning_curve",
            "confusion_matrix", "feature_importance", "more_labels", "slices")  # fmt: skip
NOT_BETTER = Finding("better", "failed", "the interval holds 0", {"gain": Number(0.01, -0.01, 0.03)})
CLASSES = Problem("binary", "left", ("no", "yes"))
NAMES = ("age", "<script>alert(1)</script>", "a|b `c` *d*")


PARITY = Parity(
    name="int8", n_rows=200, n_holdout=900, n_hard=61, n_single=8, largest=3.1e-7, of_999=1.2e-7, flips=0, ties=0,
    worst="a row of the holdout", most_difference=1e-5, most_flips=0.0, is_within=True, megabytes=0.71, seconds=0.2,
    rows_per_second=61_234.0, model_rows_per_second=4_321.0,
)  # fmt: skip
CORRECTED = Corrected("roc_auc", 0.83, 0.80, 0.86, 0.85, 9, 1_000, ("It does not know that rows repeat.",))
RULING = Ruling("kept", "not better than the champion by more than chance", 4, (NOT_BETTER,), rows=180, left_out=12)


def values(root: Path, problem: Problem = CLASSES, n_trials: int = 30) -> Values:
    """Of a run that has only what every run has."""
    write(root, problem)
    folds = tuple(FoldScore(n, 0.84 + n / 100, 0.4, 120 + n, 0.5) for n in range(3))
    proposals = [Proposal(n, "lightgbm", {"leaves": n, "bins": 255}) for n in range(n_trials)]
    results = [TrialResult(proposal, folds, seconds=1.5) for proposal in proposals]
    results[1] = replace(results[1], folds=(), error="Traceback\nValueError: a leaf of <0 rows")
    results[2] = replace(results[2], folds=folds[:1], estimate=0.8123)
    winner = Winner(results[0].proposal, 0.85, 0.0058, folds, 150)
    scores = {
        "roc_auc": HoldoutScore(0.8512, 0.8123, 0.8901, 0.5, 0.79),
        "log_loss": HoldoutScore(0.41, 0.36, 0.47, 0.69, 0.5),
    }
    trained = Trained(str(root / "model"), "lightgbm", 4_650, 150, {"learning_rate": 0.03}, "", Footprint(0.5, 9.0))
    return Values(
        setting=Setting(
            ("finefold run source.path='my data.csv' source.target=left",), ("source.target=left",),
            {"model": ["lightgbm"], "folds": "stratified", "search": "bayesian"},
            {"seed": 7, "source": {"time": "day"}}, 7, {"python": "3.12", "lightgbm": "4.7.0"}, "0123abc",
            "Linux x86_64, 2 cores", "2026-11-01 12:00 UTC", 31.4, "run1234", "data/studies/ab/1",
            "http://127.0.0.1:5000/#/run", "http://127.0.0.1:4200/runs",
        ),
        prepared=Prepared(
            str(root / "prepared"), "feed0123", "customers", problem, 1_200, 3, 3, False, True, ("a note",)
        ),
        split=Split(str(root / "split"), "beef4567", 1_000, 200, 3, 1.5, ("a note of the split",)),
        metric="roc_auc", loss="cross_entropy", results=results, winner=winner,
        counts=TrialCounts(n_trials, n_trials - 1, 1, 1, 0), combined=None, trained=trained,
        evaluation=Evaluation(str(root / "predictions.parquet"), dict(scores)),
        examined=Examined(str(root), 1_000, 100, 0.61), verdict=Verdict.of(()),
        registered=Registered("models:/customers/5", "customers", 5), plots=root / "plots",
        searched={"lightgbm": frozenset({"leaves"})},
    )  # fmt: skip


def full(root: Path) -> Values:
    """With all that a run may have."""
    made = values(root)
    Figure((2, 1)).savefig(made.plots / "reliability.png")
    (root / "model").mkdir(exist_ok=True)
    (root / "model" / "decision.json").write_text('{"costs": [[0, 0.3], [0.7, 0]], "threshold": 0.3}')
    (root / "model" / "calibration.json").write_text('{"kind": "temperature", "temperature": 1.3}')
    slices = {"age=<30": {"rows": Number(80), "fine_tuned": Number(0.8, 0.7, 0.9)}}
    findings = (
        Finding("overfitting", "failed", "it has fitted the folds", {"training": Number(0.99, 0.98, 1.0)}),
        Finding("forgetting", "not_measurable", "the base keeps no rows", {}),
        Finding("slices", "told", "the worst slice is age=<30", {"parity": Number(0.1)}, slices),
        Finding("more_labels", "told", "twice as many rows would buy 0.01", {"gain": Number(0.01)},
                {"500 rows": {"rows": Number(500), "score": Number(0.8, 0.7, 0.9)}}),
        Finding("calibration", "told", "", {"expected_error": Number(0.031, 0.02, 0.05)},
                {"holdout": {"brier": Number(0.12, 0.11, 0.13)}}),
    )  # fmt: skip
    members = (Member(made.winner.proposal, 0.7), Member(made.results[3].proposal, 0.3))
    return replace(
        made,
        combined=Combined(members, 0.86, 0.005, 0.87, (0, 1), 9, None, made.trained),
        evaluation=replace(made.evaluation, looks=3, corrected=CORRECTED),
        verdict=Verdict.of(findings),
        base={"origin": "a shop", "licence": None, "sha256": "ab" * 8, "lineage": ["models:/broad/1"]},
        conclusion=Concluded(made.trained, "temperature 1.3", 0.43, 0.41, note="threshold=f1 was not tuned"),
        exports=(Exported("onnx", str(root), (PARITY,)),),
        promotion=RULING,
        generated=written(root),
        more=(Section("ladder", "The ladder", [Text("chosen: full")]),),
    )


def written(root: Path) -> Generated:
    """What a model that writes wrote."""
    path = root / "generations.parquet"
    pairs = {"prompt": ["Why?"], "reference": ["So."], "before": ["<b>Who</b>?"], "after": ["So."]}
    pd.DataFrame({**pairs, "exact_match": [1.0], "token_f1": [1.0]}).to_parquet(path)
    scores = {"exact_match": Number(0.41, 0.3, 0.52), "token_f1": Number(0.8, 0.75, 0.85)}
    return Generated(str(path), 1, scores, dict.fromkeys(scores, Number(0.0, 0.0, 0.0)))


def write(root: Path, problem: Problem) -> None:
    """What `prepare`, `examine` and the pictures leave on disk."""
    prepared, plots = root / "prepared", root / "plots"
    for folder in (prepared, plots / "svg"):
        folder.mkdir(parents=True)
    columns = Schema(tuple(Column(name, "numeric", "double") for name in NAMES))
    (prepared / "schema.json").write_text(columns.to_json())
    quality = {"n_rows": 1_200, "missing": {NAMES[1]: 0.25}, "duplicate_rows": 4, "levels": {NAMES[2]: 12},
               "classes": {"no": 900, "yes": 300}}  # fmt: skip
    (prepared / "quality.json").write_text(json.dumps(quality))
    (prepared / "problem.json").write_text(json.dumps(asdict(problem)))
    worst = {"loss": [4.2, 3.0], "row": [7, 1], "target": ["yes", "no"], NAMES[1]: ["<b>bold</b>", None]}
    pd.DataFrame(worst).to_csv(root / "worst.csv", index=False)
    drawn = Figure((2, 1))
    for name in PICTURES:
        drawn.savefig(plots / f"{name}.png")
    drawn.savefig(plots / "svg" / "slices.svg")
