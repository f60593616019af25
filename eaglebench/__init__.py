"""eaglebench: the ablation workbench for mixtures of vision encoders in multimodal LLMs.

    import eaglebench

    run = eaglebench.train("experts=[clip,sam]", "fast=true")  # what the command line does with these overrides
    run = eaglebench.load("results/RUN")                       # a run that is finished
    run.ask("page.png", "How many shapes are there?")

Both are imported when they are first called: torch takes seconds.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from eaglebench.utils.version import __version__

if TYPE_CHECKING:
    from eaglebench.trained import Run

__all__ = ["__version__", "load", "train"]


def load(folder: str | Path, plugins: Sequence[str] = ()) -> "Run":
    """A finished run, to be asked.

    Args:
        folder: the run folder, as in `results/RUN`.
        plugins: modules of your own whose classes the run may name, as in `["mine"]`. Its folder can come from anyone.

    Raises:
        UserError: it is not the folder of a finished run of this version.
    """
    from eaglebench.trained import load_run

    return load_run(Path(folder), plugins)


def train(*overrides: str, config_dir: str | Path | None = None) -> "Run":
    """Train and evaluate a run in this process, and give it; finished stages come from the cache, as on the command
    line.

    Args:
        overrides: as on the command line, `"experts=[clip]"`, `"fast=true"`; no shell takes quotes away here.
        config_dir: a folder of your own with experts, fusions and other choices, as `--config-dir`.

    Raises:
        UserError: an override is wrong, or the run cannot be trained; the message says what to do.
    """
    from eaglebench.tasks.train_from_python import train_from_python

    return train_from_python(overrides, config_dir)


def __dir__() -> list[str]:
    return __all__
