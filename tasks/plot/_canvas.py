"""Paper and ink: the look that all pictures share, names made safe to print, and PNG files."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.style
import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from tasks.metric import METRICS
from tasks.store import write_file

INK, MUTED, GRID, PALE = "#2b2f36", "#6b7280", "#e3e6ea", "#f3f4f6"
BLUE, ORANGE, RED, GREEN = "#2f6fb0", "#e08214", "#c0392b", "#3a8f5c"
# Okabe and Ito's colours, told apart by people with any colour vision.
SERIES = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8c6d31", "#555555")
DOTS_PER_INCH = 120
# Tried in turn where the font before lacks a letter; those that are not installed are left out.
FALLBACK_FONTS = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Noto Sans SC",
    "WenQuanYi Zen Hei",
    "Source Han Sans SC",
    "IPAexGothic",
    "PingFang SC",
    "Hiragino Sans",
    "Microsoft YaHei",
    "Yu Gothic",
    "Malgun Gothic",
    "Noto Sans Arabic",
    "Noto Sans Devanagari",
    "Noto Sans Thai",
    "Noto Sans Symbols2",
    "Arial Unicode MS",
)
STYLE = {
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.labelsize": 9.5,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "axes.formatter.useoffset": False,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "figure.facecolor": "white",
    "font.size": 9,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "legend.edgecolor": GRID,
    "legend.fontsize": 8.5,
    "legend.framealpha": 0.9,
    "savefig.facecolor": "white",
    "svg.fonttype": "none",
    "svg.hashsalt": "finefold",
    "text.color": INK,
    "xtick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.color": MUTED,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
}


@contextmanager
def styled() -> Iterator[None]:
    """Draws in the shared look, whatever the user's own matplotlib settings are."""
    with matplotlib.style.context(["default", {**STYLE, "font.sans-serif": _fonts()}]):
        yield


def figure(width: float, height: float, title: str, subtitle: str) -> Figure:
    """An empty figure, in inches: the title says what it is, the subtitle how to read it."""
    below_the_titles = ConstrainedLayoutEngine(rect=(0, 0, 1, 1 - 0.62 / height), w_pad=0.08, h_pad=0.08)
    made = Figure(figsize=(width, height), dpi=DOTS_PER_INCH, layout=below_the_titles)
    FigureCanvasAgg(made)
    made.text(0.12 / width, 1 - 0.10 / height, title, fontsize=12.5, fontweight="bold", va="top")
    made.text(0.12 / width, 1 - 0.36 / height, subtitle, fontsize=9, color=MUTED, va="top")
    return made


def write(drawn: Figure, path: Path) -> Path:
    """The figure as a PNG file, whole or not at all."""
    return _write(drawn, path, format="png")


def write_vector(drawn: Figure, path: Path) -> Path:
    """The figure, laid out as it was for its PNG file, as an SVG file of the same look: sharp at any size, its letters
    set by whoever shows it."""
    drawn.set_layout_engine("none")  # another layout would take as long again as the drawing
    return _write(drawn, path, format="svg", metadata={"Date": None})


def _write(drawn: Figure, path: Path, **how: Any) -> Path:
    with warnings.catch_warnings():
        # A letter that no installed font has is drawn as a box, which says as much as the warning would.
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .*missing from")
        write_file(path, lambda target: drawn.savefig(target, **how))
    return path


def printable(name: object, n_letters: int = 28) -> str:
    """A name as a label: one line, cut in the middle where it is long, and no `$` that would begin a formula."""
    text = " ".join(str(name).split())
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    if len(text) > n_letters:
        n_end = (n_letters - 1) // 3
        text = f"{text[: n_letters - 1 - n_end]}…{text[-n_end:]}"
    return text.replace("$", r"\$")


def number(value: float, n_digits: int = 3) -> str:
    """A number as a label: its leading digits, thousands apart, and powers of ten only where it is very long."""
    if value and not 1e-4 <= abs(value) < 1e7:
        return f"{value:.{n_digits}g}".replace("-", "−")
    decimals = max(0, n_digits - 1 - int(np.floor(np.log10(abs(value))))) if value else 0
    text = f"{value:,.{decimals}f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text).replace("-", "−")


def limits(values: Sequence[float], metric: str) -> tuple[float, float]:
    """The range of an axis for trials' values: all the good ones; a bad one only where it isn't far off the rest,
    so that one trial that went wrong doesn't press all others into a line."""
    worth = METRICS[metric].sign * np.asarray(values, dtype=np.float64)
    low, middle = np.quantile(worth, [0.25, 0.5])
    best = float(worth.max())
    worst = float(max(worth.min(), low - 3 * max(middle - low, best - middle, 1e-12)))
    margin = 0.06 * (best - worst) or 0.05 * abs(best) or 1.0
    ends = METRICS[metric].sign * np.array([worst - margin, best + margin])
    return float(ends.min()), float(ends.max())


def direction(metric: str) -> str:
    return "higher is better" if METRICS[metric].is_higher_better else "lower is better"


def grid(axes: Axes, axis: Any = "both") -> None:
    axes.grid(visible=True, axis=axis)
    axes.tick_params(length=3)


@cache
def _fonts() -> list[str]:
    installed = {entry.name for entry in font_manager.fontManager.ttflist}
    return ["DejaVu Sans", *(name for name in FALLBACK_FONTS if name in installed)]
