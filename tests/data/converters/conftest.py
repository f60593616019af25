"""The release of a benchmark, empty at first."""

from pathlib import Path

import pytest

from tests.helpers.releases import ReleaseFolder


@pytest.fixture
def release(tmp_path: Path) -> ReleaseFolder:
    return ReleaseFolder(tmp_path)
