"""The contract of every fusion, for one to six experts, and what each strategy promises."""

import pytest
import torch
from torch import Tensor, nn

from eaglebench.fusion.base import Fusion, MapShape
from eaglebench.fusion.channel_concat import ChannelConcat
from eaglebench.fusion.projector import mlp_projector
from eaglebench.fusion.sequence_append import SequenceAppend

WIDTH = 16
SHAPES = [("a", (6, 4)), ("b", (5, 8)), ("c", (3, 2)), ("d", (4, 4)), ("e", (7, 6)), ("f", (2, 1))]
FUSIONS = (ChannelConcat, SequenceAppend)


def build(cls: type[Fusion], count: int, **arguments) -> tuple[Fusion, dict[str, Tensor]]:
    torch.manual_seed(count)
    shapes = {name: MapShape(*shape) for name, shape in SHAPES[:count]}
    fusion = cls(shapes, WIDTH, grid=4, **arguments)
    features = {name: torch.randn(3, shape.channels, shape.grid, shape.grid) for name, shape in shapes.items()}
    return fusion, features


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("count", range(1, 7))
@pytest.mark.parametrize("cls", FUSIONS)
def test_maps_become_the_promised_tokens(cls: type[Fusion], count: int, norm: bool) -> None:
    fusion, features = build(cls, count, norm=norm)
    tokens = fusion.fuse(features)
    assert tokens.shape == (3, fusion.visual_tokens, WIDTH)
    assert tokens.dtype == torch.float32


@pytest.mark.parametrize("count", [1, 3, 6])
@pytest.mark.parametrize("cls", FUSIONS)
def test_gradient_reaches_every_expert_and_every_parameter(cls: type[Fusion], count: int) -> None:
    fusion, features = build(cls, count, norm=True)
    for value in features.values():
        value.requires_grad_()
    fusion.fuse(features).square().sum().backward()
    assert all(value.grad is not None and value.grad.any() for value in features.values())
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in fusion.parameters())


@pytest.mark.parametrize("cls", FUSIONS)
def test_the_experts_are_run_on_their_own_pixels(cls: type[Fusion]) -> None:
    class Doubler(nn.Module):
        def forward(self, pixels: Tensor) -> Tensor:
            return pixels * 2

    fusion, features = build(cls, 2)
    experts = {name: Doubler() for name in features}
    expected = fusion.fuse({name: value * 2 for name, value in features.items()})
    assert torch.equal(fusion(experts, features), expected)


def test_channel_concat_equals_sliced_matrix_products() -> None:
    fusion, features = build(ChannelConcat, 2)
    fusion.double()
    features = {name: value.double() for name, value in features.items()}
    features["b"] = features["b"][:, :, :4, :4]  # on the common grid already: only the concatenation is under test
    first, last = fusion.projector[0], fusion.projector[2]
    parts, start = [], 0
    for value in features.values():
        columns = first.weight[:, start : (start := start + value.shape[1])]
        parts.append(torch.einsum("dc,bcij->bijd", columns, value).flatten(1, 2))
    expected = last(nn.functional.gelu(sum(parts) + first.bias))
    torch.testing.assert_close(fusion.fuse(features), expected, atol=1e-12, rtol=1e-12)


def test_channel_concat_is_equivariant_to_the_order_of_experts() -> None:
    fusion, features = build(ChannelConcat, 3)
    order = ["c", "a", "b"]
    other = ChannelConcat({name: fusion.shapes[name] for name in order}, WIDTH, grid=4)
    blocks = dict(
        zip(
            fusion.shapes,
            fusion.projector[0].weight.split([s.channels for s in fusion.shapes.values()], dim=1),
            strict=True,
        )
    )
    other.projector.load_state_dict(
        fusion.projector.state_dict() | {"0.weight": torch.cat([blocks[n] for n in order], dim=1)}
    )
    torch.testing.assert_close(other.fuse(features), fusion.fuse(features))


def test_channel_concat_norm_takes_out_an_experts_scale() -> None:
    fusion, features = build(ChannelConcat, 2, norm=True)
    scaled = features | {"a": features["a"] * 1000}
    torch.testing.assert_close(fusion.fuse(scaled), fusion.fuse(features), atol=1e-4, rtol=1e-3)


def test_sequence_append_gives_each_expert_its_own_run_of_tokens() -> None:
    fusion, features = build(SequenceAppend, 3)
    tokens = fusion.fuse(features)
    changed = fusion.fuse(features | {"b": torch.randn_like(features["b"])})
    assert torch.equal(tokens[:, :16], changed[:, :16])
    assert torch.equal(tokens[:, 32:], changed[:, 32:])
    assert not torch.equal(tokens[:, 16:32], changed[:, 16:32])
    expected = fusion.projectors["a"](features["a"].flatten(2).transpose(1, 2))
    assert torch.equal(tokens[:, :16], expected)


def test_one_expert_alone_is_the_same_in_both() -> None:
    concat, features = build(ChannelConcat, 1)
    append = SequenceAppend(concat.shapes, WIDTH, grid=4)
    append.projectors["a"].load_state_dict(concat.projector.state_dict())
    assert torch.equal(append.fuse(features), concat.fuse(features))


def test_the_grid_is_the_bases_unless_it_is_given() -> None:
    shapes = {"a": MapShape(6, 4), "b": MapShape(5, 8)}
    assert ChannelConcat(shapes, WIDTH).visual_tokens == 16
    assert ChannelConcat(shapes, WIDTH, grid=3).visual_tokens == 9


@pytest.mark.parametrize(
    ("channels", "published"),
    [(4096, 33_562_624), (5120, 37_756_928), (6656, 44_048_384), (7680, 48_242_688)],  # Eagle X2 to X5 at D = 4096
)
def test_projectors_have_the_published_sizes(channels: int, published: int) -> None:
    with torch.device("meta"):
        projector = mlp_projector(channels, 4096)
    assert sum(parameter.numel() for parameter in projector.parameters()) == published
