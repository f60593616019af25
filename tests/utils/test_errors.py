"""Sentences that error messages share."""

import pytest

from eaglebench.utils.errors import first_line, suggest_multiples


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("one\ntwo"), "one"),
        (ValueError("\n  one"), "one"),
        (KeyError(), "KeyError"),
        (OSError(""), "OSError"),
    ],
)
def test_the_first_line_of_an_error_or_its_name(error: Exception, line: str) -> None:
    assert first_line(error) == line


@pytest.mark.parametrize(
    ("size", "nearest"),
    [(96, None), (64, None), (100, "are 96 and 128."), (5, "are 32 and 64."), (0, "are 32 and 64.")],
)
def test_the_nearest_multiples_of_a_size_that_is_none(size: int, nearest: str | None) -> None:
    suggestion = suggest_multiples(size, 32)
    assert suggestion is None if nearest is None else suggestion is not None and suggestion.endswith(nearest)
