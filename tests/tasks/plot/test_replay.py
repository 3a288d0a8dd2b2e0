"""A line for each policy, a mark where its model changed, and a point for what it cost."""

from __future__ import annotations

from tasks.plot import replay
from tasks.replayed import Step, standings

STEPS = [
    Step("never", "2024-05", 9, 3.0, "nothing", "", "", "", 1.0, 1, 1),
    Step("monitor", "2024-05", 9, 3.0, "finetune", "", "promoted", "", 5.0, 1, 2),
    Step("never", "2024-06", 9, 4.0, "nothing", "", "", "", 1.0, 1, 1),
    Step("monitor", "2024-06", 9, 2.0, "search", "", "kept", "", 5.0, 2, 2),
]


def test_only_a_new_champion_has_a_mark() -> None:
    left, right = replay.draw("rmse", standings(["never", "monitor"], STEPS), STEPS).axes
    curves = {str(line.get_label()): list(line.get_ydata()) for line in left.lines}
    assert (curves["never"], curves["monitor"]) == ([3.0, 4.0], [3.0, 2.0])
    marks = [list(line.get_ydata()) for line in left.lines if str(line.get_label()).startswith("_")]
    assert sorted(marks) == [[], [], [], [3.0]]
    assert [tick.get_text() for tick in left.get_xticklabels()] == ["2024-05", "2024-06"]
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in right.lines] == [(2.0, 3.5), (10.0, 2.5)]
