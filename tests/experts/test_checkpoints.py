"""Every expert reads the checkpoints of its libraries, and then computes what upstream computes."""

from pathlib import Path

import pytest
import torch

from tests.conftest import EXPERTS
from tests.helpers.upstream import cases
from tests.helpers.upstream.base import Case
from tests.helpers.upstream.cases import CASES
from tests.helpers.upstream.eagle import write_eagle

RELATIVE = {torch.float64: 1e-6, torch.float32: 1e-4}


@pytest.fixture(autouse=True)
def fused_at_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Upstream's attention must not stand in for ours because maps are small here."""
    monkeypatch.setattr("eaglebench.experts.sam.SMALL_ATTENTION", 0)


def check(case: Case) -> None:
    """Upstream in float64 against the expert in either precision."""
    case.expert.eval().double().load_checkpoint(case.checkpoint, "the test")
    side = case.expert.image_size
    pixels = torch.randn(2, 3, side, side, dtype=torch.float64)
    with torch.no_grad():
        expected = case.upstream(pixels)
        for dtype, tolerance in RELATIVE.items():
            features = case.expert.to(dtype)(pixels.to(dtype))
            assert features.shape == expected.shape
            assert (features - expected).abs().max() < tolerance * expected.abs().max()


def test_every_expert_has_upstream_cases() -> None:
    assert set(cases.EXPERTS) == set(EXPERTS)


@pytest.mark.parametrize("name", CASES)
def test_it_computes_what_upstream_computes(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    check(CASES[name](tmp_path / "checkpoint"))


@pytest.mark.parametrize("name", ["clip", "convnext", "eva02", "pix2struct"])
def test_a_tower_is_found_in_a_released_eagle_model(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    check(write_eagle(tmp_path / "eagle")[name])
