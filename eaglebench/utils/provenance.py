"""The versions of the software that a result was made with."""

import platform
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path

from eaglebench.utils.version import __version__

PACKAGES = (
    "torch",
    "lightning",
    "transformers",
    "timm",
    "segment-anything",
    "numpy",
    "pillow",
    "matplotlib",
)


@cache
def collect_versions() -> dict[str, str]:
    """The versions of Python, eaglebench and PACKAGES by name, and the git commit under `commit`."""
    return {
        "python": platform.python_version(),
        "eaglebench": __version__,
        **{name: version(name) for name in PACKAGES},
        "commit": read_git_commit(),
    }


def read_git_commit() -> str:
    """The first 12 digits of the checked-out commit, with `+` if files differ from it; empty outside a checkout."""
    command = ["git", "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"]
    try:
        result = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return result.stdout.strip() if result.returncode == 0 else ""
