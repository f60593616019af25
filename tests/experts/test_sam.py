"""SAM's fused attention equals upstream's naive one, and its neck may be the short one of Eagle's released code."""

from functools import partial
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from segment_anything.modeling import ImageEncoderViT
from segment_anything.modeling.image_encoder import Attention

from eaglebench.experts.sam import FusedAttention, Sam
from eaglebench.utils.errors import UserError
from eaglebench.weights.sources import read_checkpoint
from tests.helpers.upstream.base import add_prefix, randomise
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


@pytest.mark.parametrize("mlp_ratio", [2.0, 3.0])
def test_mlps_may_have_another_width(mlp_ratio: float) -> None:
    arguments = {"img_size": 96, "embed_dim": 32, "depth": 2, "num_heads": 2, "out_chans": 8, "use_rel_pos": True}
    norm = partial(torch.nn.LayerNorm, eps=1e-6)
    upstream = randomise(
        ImageEncoderViT(**arguments, mlp_ratio=mlp_ratio, norm_layer=norm, window_size=3, global_attn_indexes=(1,))
    )
    weights = add_prefix("image_encoder.", upstream.state_dict())
    expert = Sam(unshuffle=1, mlp_ratio=mlp_ratio, **sam_arguments(96)).double().eval()
    expert.load_upstream(weights)
    pixels = torch.randn(1, 3, 96, 96, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(expert(pixels), upstream(pixels))
    with pytest.raises(UserError, match=r"6 wrongly shaped .*mlp\.lin1"):
        Sam(unshuffle=1, **sam_arguments(96)).load_upstream(weights)


def test_windows_of_another_size_are_another_network(tmp_path: Path) -> None:
    """Positions of a window are not stretched over another one; those of the whole map are, for other images."""
    case = write_segment_anything(tmp_path / "sam", 96)
    with pytest.raises(UserError, match=r"2 wrongly shaped \(network.blocks.0.attn.rel_pos_h \(5, 16\) for \(3, 16\)"):
        Sam(unshuffle=1, **(sam_arguments(96) | {"window": 2})).load_checkpoint(case.checkpoint, "the test")
