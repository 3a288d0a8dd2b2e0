"""What a person sees of a replay: the table, the line of a step, and a monitor that never fired."""

from __future__ import annotations

from dataclasses import replace

from flows.replay_table import line, quiet, table
from tasks.replayed import Replayed, Step, standings

NEVER = Step("never", "2024-05", 720, 12.5, "nothing", "", "", "", 0.25, 1, 1)
MONITOR = Step("monitor", "2024-05", 720, 10.0, "finetune", "the score fell", "promoted", "rmse better", 6.5, 1, 2)
STILL = Step("monitor", "2024-05", 720, 12.5, "nothing", "the score holds", "", "", 0.5, 1, 1)


def test_the_line_of_a_step_says_what_was_done_why_and_what_came_of_it() -> None:
    assert line(NEVER, "rmse") == "2024-05 never: rmse 12.5 on 720 rows"
    assert line(STILL, "rmse") == "2024-05 monitor: rmse 12.5 on 720 rows; nothing (the score holds)"
    last = replace(MONITOR, outcome="")
    assert line(last, "rmse") == "2024-05 monitor: rmse 10 on 720 rows; a fine-tuning would be due (the score fell)"
    assert line(MONITOR, "rmse") == (
        "2024-05 monitor: rmse 10 on 720 rows; a fine-tuning (the score fell): promoted, rmse better; 6.5 s"
    )


def test_a_monitor_that_never_fired_is_told() -> None:
    assert quiet(standings(["never", "monitor"], [NEVER, STILL])) == [
        "monitor found nothing to do: its scores are those of the first model"
    ]
    assert quiet(standings(["never", "monitor"], [NEVER, MONITOR])) == []


def test_the_table_has_a_line_for_each_policy_and_its_notes() -> None:
    reached = standings(["never", "monitor"], [NEVER, MONITOR])
    shown = table(Replayed("rmse", "month", ("2024-05",), reached, (), 9.0, ("no rows in 2024-03",), "", "", "", ""))
    rows = [row.split(" | ") for row in shown.splitlines()[2:4]]
    assert [row[0] for row in rows] == ["| never", "| monitor"]
    assert rows[1][1:] == ["10", "-2.5 (nan to nan)", "0", "1", "1", "6.5 |"]
    assert shown.endswith("- no rows in 2024-03")
