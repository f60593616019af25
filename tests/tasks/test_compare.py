"""task=compare."""

from collections.abc import Callable
from pathlib import Path

from tests.conftest import Outcome
from tests.helpers.run_folders import write_predictions


def test_the_command_shows_it_and_refuses_other_questions(tmp_path: Path, command: Callable[..., Outcome]) -> None:
    first, second = (
        write_predictions(tmp_path / "a", {"x": [0.0] * 8}),
        write_predictions(tmp_path / "b", {"x": [1.0] * 8}),
    )
    outcome = command("task=compare", f"compare.runs=[{first},{second}]")
    assert outcome.code == 0
    assert "│ x       │ 0.000 │ 1.000 │ +1.000 │ +1.000 to +1.000 │ 0.0078 │         8 │" in outcome.out
    other = write_predictions(tmp_path / "c", {"x": [1.0] * 7})
    assert (
        "different questions (1 of the first alone, 0 of the second alone; "
        in command("task=compare", f"compare.runs=[{first},{other}]").err
    )
    assert "must be the folders of two finished runs" in command("task=compare", f"compare.runs=[{first}]").err
    assert "not the folder of an evaluated run" in command("task=compare", f"compare.runs=[{first},nothing]").err
