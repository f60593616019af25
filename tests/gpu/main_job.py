"""The overrides of the main job: the default experiment from pre-alignment to scores, in a few small steps."""

from collections.abc import Sequence
from pathlib import Path

import pytest

BATCH = 4  # samples a step
STEPS = {"pre_align/sam": 2, "projector": 2, "sft": 4, "blind": 2}  # by the label of the unit; the fourth validates
SECTIONS = ("stages.pre_align", "stages.projector", "stages.sft", "evaluation.blind")
MAIN_JOB = (
    *(f"{section}.batch_size={BATCH}" for section in SECTIONS),
    *(f"{section}.steps={steps}" for section, steps in zip(SECTIONS, STEPS.values(), strict=True)),
    # Other batches, in which rounding moves fewer weights to the other side (see NEAR in test_training_on_devices).
    *(f"{section}.group_by_length=false" for section in SECTIONS[:3]),
    "stages.sft.lr.experts=1e-3",  # all parts train; kept features would be rounded to float16
    "evaluation.shuffled=false",
)
TRAINERS = {"cpu": "trainer=cpu", "cuda": "trainer=gpu"}


def list_overrides(fast_store: Sequence[str], folder: Path) -> list[str]:
    """The overrides of a fast run in `folder`/run with a store of its own.

    The key of a finished stage does not name the device: from a shared store, a GPU would take the CPU's weights.
    """
    return [*fast_store, f"store={folder}/store", f"hydra.run.dir={folder}/run"]


def leave_out_figure(patch: pytest.MonkeyPatch) -> None:
    """Draw no sample answers: that takes as long as everything else here, and no device."""
    patch.setattr("eaglebench.evaluation.evaluate.draw_samples", lambda *arguments: None)
