"""The main job through the command line: on a GPU its losses are those of the CPU."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from eaglebench.stages.artefact_files import MANIFEST
from tests.conftest import Outcome
from tests.gpu.main_job import MAIN_JOB, SECTIONS, STEPS, TRAINERS, leave_out_figure, list_overrides

# Losses are 1.5 to 3.5, and have four digits in the store. Rounding alone changes none of these digits on a CPU, but it
# may: AdamW divides a gradient by its own size, so a weight whose gradient is nothing but rounding moves by a whole
# learning rate, to either side. bfloat16 changes losses by up to 0.02.
NEAR = 2e-3
# On the CPU, a step is cut into other matrix products.
SAME_ARITHMETIC = {"cpu": [f"{section}.micro_batch=2" for section in SECTIONS], "cuda": []}


def read_losses(folder: Path) -> dict[str, list[float | None]]:
    """The losses of each step in four digits, None where one is not finite, by the label of the unit in a store."""
    manifests = [json.loads(path.read_text()) for path in (folder / "store").glob(f"*/{MANIFEST}")]
    return {manifest["label"]: manifest["losses"] for manifest in manifests if manifest["steps"]}  # no features


def assert_finite(losses: Mapping[str, Sequence[float | None]]) -> None:
    """Each unit has all of its steps, and each step a finite loss."""
    assert {label: len(values) - values.count(None) for label, values in losses.items()} == STEPS


@pytest.fixture(autouse=True)
def no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    leave_out_figure(monkeypatch)


def test_losses_in_float32_are_those_of_the_cpu(
    command: Callable[..., Outcome], cpu_run: Path, fast_store: list[str], tmp_path: Path, device: str
) -> None:
    own = [*MAIN_JOB, TRAINERS[device], "trainer.precision=32-true", *SAME_ARITHMETIC[device]]
    outcome = command(*list_overrides(fast_store, tmp_path), *own)
    assert outcome.code == 0, outcome.err
    assert "taken from the store" not in outcome.out
    expected, given = read_losses(cpu_run.parent), read_losses(tmp_path)
    assert_finite(given)
    for label, values in given.items():
        assert values == pytest.approx(expected[label], abs=NEAR), label


def test_losses_in_mixed_precision_are_finite(
    command: Callable[..., Outcome], fast_store: list[str], tmp_path: Path, device: str
) -> None:
    own = [*MAIN_JOB, TRAINERS[device], "trainer.precision=bf16-mixed"]
    outcome = command(*list_overrides(fast_store, tmp_path), *own)
    assert outcome.code == 0, outcome.err
    assert_finite(read_losses(tmp_path))
