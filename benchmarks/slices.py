"""`python -m benchmarks.slices tables=DIR [model=lightgbm] [strategies=full,pooled] [columns=sex,race] [trials=8]`:
what fine-tuning does to parts of the rows. Adults who were born in the United States train a base, all others fine-tune
it; the base's and the fine-tuned model's score on each slice of the target's holdout, as `finefold run` reports it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks import arguments, place, report, tables
from benchmarks.place import Place

HEADINGS = ("strategy", "slice", "rows", "base", "fine-tuned", "worse by", "p after Holm", "check")


def main() -> None:
    arguments.check(("tables", "model", "strategies", "columns", "trials"))
    columns = arguments.text("columns", "sex,race")
    with place.temporary() as root:
        at = place.fresh(root, "adult")
        with place.kept_server(at):
            base = pretrained(at, root, Path(arguments.text("tables", "")))
            rows = [
                line for strategy in arguments.text("strategies", "full,pooled").split(",")
                for line in fine_tuned(at, root, base, strategy, columns)
            ]  # fmt: skip
    print(report.table(HEADINGS, rows))
    print(f"\nmodel={arguments.text('model', 'lightgbm')}. {report.machine(1)}")


def pretrained(at: Place, root: Path, folder: Path) -> str:
    """Both sides as files, and a base of the first."""
    frame = tables.adult(folder).frame
    frame = frame[frame["native_country"].notna()]
    is_source = frame["native_country"] == "United-States"
    for name, some in (("source", frame[is_source]), ("target", frame[~is_source])):
        some.drop(columns="native_country").to_parquet(root / f"{name}.parquet")
    made = at.run([*asked(root, "source"), "model_name=us"], "pretrain")
    return f"models:/us/{made['model_version']}"


def asked(root: Path, name: str) -> list[str]:
    family, trials = arguments.text("model", "lightgbm"), report.argument("trials", 8)
    path = root / f"{name}.parquet"
    return ["source=file", f"source.path={path}", "source.target=income", f"model={family}", f"search.trials={trials}"]


def fine_tuned(at: Place, root: Path, base: str, strategy: str, columns: str) -> Iterator[Sequence[str]]:
    made = at.run([*asked(root, "target"), f"base={base}", f"strategy={strategy}", f"slices=[{columns}]"])
    check = next(one for one in made["checks"]["findings"] if one["check"] == "slices")
    for name, part in check["parts"].items():
        cells = [_cell(part.get(key)) for key in ("base", "fine_tuned", "worse")]
        yield [strategy, name, f"{part['rows']['value']:,.0f}" if "rows" in part else "", *cells,
               f"{part['p']['value']:.2g}" if "p" in part else "", check["state"]]  # fmt: skip


def _cell(number: dict[str, Any] | None) -> str:
    if number is None:
        return ""
    return f"{number['value']:.3f} ({number['low']:.3f} to {number['high']:.3f})"


if __name__ == "__main__":
    main()
