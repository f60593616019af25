"""Values of users' files in messages: short, and on one line."""

import pytest

from eaglebench.utils.quoting import quote


@pytest.mark.parametrize(
    ("value", "shown"),
    [("a.png", "'a.png'"), (" a\n", r"' a\n'"), (3, "3"), (["x"], "['x']"), ("\ud83d", r"'\ud83d'")],
)
def test_a_short_value_is_shown_whole(value: object, shown: str) -> None:
    assert quote(value) == shown


def test_a_long_or_deep_value_is_shown_in_part() -> None:
    deep: list[object] = []
    for _ in range(10_000):
        deep = [deep]
    for value in ("y" * 5_000, int("1" * 4_000), deep, list(range(1_000))):
        assert len(quote(value)) <= 120
