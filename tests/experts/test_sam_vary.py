"""SAM-Vary may start from SAM's weights, as Vary itself does."""

from pathlib import Path

import torch

from eaglebench.experts.sam_vary import SamVary
from eaglebench.weights.sources import read_checkpoint
from tests.helpers.upstream.sam import sam_arguments, write_segment_anything


def test_it_starts_from_the_weights_of_sam(tmp_path: Path) -> None:
    case = write_segment_anything(tmp_path / "sam", 64)
    expert = SamVary(channels=32, **sam_arguments(64)).double()
    first = expert.reduce[0].weight.clone()
    expert.load_upstream(read_checkpoint(case.checkpoint, "the test"))
    assert torch.equal(expert.reduce[0].weight, first)
    assert torch.equal(expert.network.neck[0].weight, case.upstream.neck[0].weight)
