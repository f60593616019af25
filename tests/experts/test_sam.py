"""SAM's fused attention equals upstream's naive one, and its neck may be the short one of Eagle's released code."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from segment_anything.modeling.image_encoder import Attention

from eaglebench.experts.sam import FusedAttention, Sam
from eaglebench.utils.errors import UserError
from eaglebench.weights.sources import read_checkpoint
from tests.helpers.upstream.sam import sam_arguments, write_segment_anything, write_short_neck


@pytest.mark.parametrize("small_attention", [0, 10**6])
@pytest.mark.parametrize("max_bias", [1, 100, 700])
@torch.no_grad()
def test_fused_attention_is_the_same_whatever_the_parts(
    max_bias: int, small_attention: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parts of one image's queries, whole images, and several at a time; upstream's naive attention on a small map."""
    monkeypatch.setattr("eaglebench.experts.sam.SMALL_ATTENTION", small_attention)
    torch.manual_seed(0)
    attention = FusedAttention(8, 2, True, True, True, (3, 3)).double()
    for parameter in attention.parameters():
        torch.nn.init.normal_(parameter)
    cells = torch.randn(5, 3, 3, 8).double()
    monkeypatch.setattr("eaglebench.experts.sam.BIAS_ON_CPU", max_bias)
    fused = []
    monkeypatch.setattr(
        F,
        "scaled_dot_product_attention",
        lambda *a, run=F.scaled_dot_product_attention, **k: fused.append(a) or run(*a, **k),
    )
    ours = attention(cells)
    assert bool(fused) == (small_attention == 0)
    torch.testing.assert_close(Attention.forward(attention, cells), ours, atol=1e-12, rtol=1e-12)


def test_a_full_neck_refuses_weights_of_a_short_one_and_names_the_override(tmp_path: Path) -> None:
    case = write_short_neck(tmp_path / "sam")
    expert = Sam(unshuffle=1, **sam_arguments(96))
    with pytest.raises(UserError, match=r"add compat=eagle_release, or experts\.sam\.neck=short"):
        expert.load_upstream(read_checkpoint(case.checkpoint, "the test"))


def test_a_short_neck_discards_a_pretrained_neck(tmp_path: Path) -> None:
    case = write_segment_anything(tmp_path / "sam", 64)
    expert = Sam(unshuffle=1, neck="short", **sam_arguments(64)).double()
    first = expert.network.neck[0].weight.clone()
    expert.load_upstream(read_checkpoint(case.checkpoint, "the test"))
    assert torch.equal(expert.network.neck[0].weight, first)
    assert torch.equal(expert.network.pos_embed, case.upstream.pos_embed)
