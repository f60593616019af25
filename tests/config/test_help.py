"""`--help`: two screens, in the user's words; a task's own fields with their comments."""

import pytest

from eaglebench.config.compose import groups, options
from eaglebench.config.help import help_text
from eaglebench.utils.errors import UserError

SCREEN = 50  # lines


def test_the_overview_fits_two_screens_and_names_every_task_and_choice() -> None:
    text = help_text(["--help"])
    lines = text.splitlines()
    assert len(lines) <= 2 * SCREEN
    assert max(map(len, lines)) <= 100
    for task in options("task"):
        assert f"task={task} " in text
    for group in groups():
        for option in options(group):
            assert option in text, (group, option)
    assert "presets" not in text
    assert "_target_" not in text


@pytest.mark.parametrize("task", options("task"))
def test_a_task_has_its_fields_with_their_comments(task: str) -> None:
    text = help_text([f"task={task}", "--help"])
    assert text.startswith(f"task={task}: ")
    for hidden in ("presets", "_target_", "defaults:", "hydra:"):
        assert hidden not in text
    assert f"task={task} --cfg job" in text
    assert len(text.splitlines()) <= 2 * SCREEN


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        (["task=predict"], ["run: null", "# the folder of a finished run", "prompt: null"]),
        (["task=train"], ["seed: 0", "store: results/store", "# the cache of finished stages", "world:"]),
        (["task=select"], ["select=round_robin", "start: [clip, convnext]", "seeds: 1"]),
        (["task=select", "select=exhaustive"], ["Fields of select=exhaustive", "max_sets: 32"]),
        (["task=pretrain"], ["pretrain=: clip, convnext"]),
        (["task=pretrain", "pretrain=sam"], ["Fields of pretrain=sam", "kinds:"]),
    ],
)
def test_what_the_help_of_a_task_says(arguments: list[str], lines: list[str]) -> None:
    text = help_text([*arguments, "--help"])
    for line in lines:
        assert line in text or line.replace("the cache", "cache") in text


def test_an_unknown_task_is_refused() -> None:
    with pytest.raises(UserError, match="task=dance is unknown: choose from bench"):
        help_text(["task=dance", "--help"])
