"""What a result was made with."""

import platform
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path

PACKAGES = (
    "eaglebench",
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
def versions() -> dict[str, str]:
    """Python's, the packages' and, in a checkout, the git commit (with `+` if files differ from it)."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}, "commit": commit()}


def commit() -> str:
    """The checked-out commit; empty outside a checkout."""
    command = ["git", "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"]
    try:
        found = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return found.stdout.strip() if found.returncode == 0 else ""
