"""Commands in processes of their own, and the overrides of a run that is long enough to be interrupted."""

import subprocess
import sys
from pathlib import Path

# One stage of 60 steps, without the blind baseline; no checkpoint before the end unless one is asked for.
ONE_STAGE = [
    "fast=true", "stages=[sft]", "stages.sft.steps=60", "stages.sft.batch_size=4", "world.train_images=48",
    "world.val_questions=3", "evaluation.blind.steps=0", "checkpoint_every=1000",
]  # fmt: skip
TWO_PROCESSES = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "trainer.precision=32-true"]


def run_eaglebench(
    folder: Path, environment: dict[str, str] | None, *overrides: str
) -> subprocess.CompletedProcess[str]:
    """Run `python -m eaglebench` in a folder to its end; None: with the environment of this process."""
    program = [sys.executable, "-m", "eaglebench", *overrides]
    return subprocess.run(program, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
