"""The pictures of one run as PNG files: one file of code for each, and a picture that would say nothing is left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from tasks.plot import (
    _canvas,
    comparison,
    confusion_matrix,
    drift,
    feature_importance,
    fold_scheme,
    hyperparameter_importance,
    learning_curve,
    more_labels,
    parallel_coordinates,
    reliability,
    replay,
    residuals,
    search_history,
    slices,
)
from tasks.plot._material import Material
from tasks.plot.comparison import Compared
from tasks.plot.drift import Drifted
from tasks.replayed import Standing, Step

__all__ = ["Compared", "Drifted", "Material", "draw_all", "draw_comparison", "draw_drift", "draw_replay"]

VECTOR = "svg"  # the folder beside the pictures that holds them as SVG files, for pages

# Each gives its figure, or None where the run has nothing to show of it.
PICTURES: dict[str, Callable[[Material], Figure | None]] = {
    "fold_scheme": fold_scheme.draw,
    "search_history": search_history.draw,
    "hyperparameter_importance": hyperparameter_importance.draw,
    "parallel_coordinates": parallel_coordinates.draw,
    "confusion_matrix": confusion_matrix.draw,
    "residuals": residuals.draw,
    "reliability": reliability.draw,
    "learning_curve": learning_curve.draw,
    "feature_importance": feature_importance.draw,
    "more_labels": more_labels.draw,
    "slices": slices.draw,
}


def draw_all(folder: Path, material: Material) -> list[Path]:
    """Draws every picture that says something of this run into `folder`, which is made; gives their paths. The same as
    SVG files lie in its subfolder `svg`.

    The same material gives the same pictures. Matplotlib's settings are changed while it draws, and then put back.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    with _canvas.styled():
        for name, draw in PICTURES.items():
            figure = draw(material)
            if figure is not None:
                paths.append(_canvas.write(figure, folder / f"{name}.png"))
                _canvas.write_vector(figure, folder / VECTOR / f"{name}.svg")
    return paths


def draw_comparison(path: Path, compared: Compared) -> Path:
    """Draws the picture of a comparison into a PNG file, in the same look; gives its path."""
    with _canvas.styled():
        figure = comparison.draw(compared)
        _canvas.write(figure, path)
        _canvas.write_vector(figure, path.parent / VECTOR / f"{path.stem}.svg")
    return path


def draw_drift(folder: Path, drifted: Drifted) -> list[Path]:
    """Draws how far columns drifted, and the farthest ones, into a folder as PNG files, and as SVG below it; their
    paths."""
    paths = []
    with _canvas.styled():
        for name, draw in (("drift", drift.draw), ("columns", drift.draw_columns)):
            figure = draw(drifted)
            paths.append(_canvas.write(figure, folder / f"{name}.png"))
            _canvas.write_vector(figure, folder / VECTOR / f"{name}.svg")
    return paths


def draw_replay(path: Path, metric: str, standings: Sequence[Standing], steps: Sequence[Step]) -> Path:
    """Draws the picture of a replay into a PNG file, in the same look; gives its path."""
    with _canvas.styled():
        return _canvas.write(replay.draw(metric, standings, steps), path)
