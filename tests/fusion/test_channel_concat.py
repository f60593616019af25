"""Channel concatenation is one matrix product over all experts' channels."""

import torch
from torch import nn

from eaglebench.fusion.channel_concat import ChannelConcat
from tests.helpers.fusions import WIDTH, build, randomise


def test_it_equals_sliced_matrix_products() -> None:
    fusion, features = randomise(*build(ChannelConcat, "abc"))
    first, last = fusion.projector[0], fusion.projector[2]
    parts, start = [], 0
    for name in features:
        tokens = fusion.align_to_grid(features, name)
        parts.append(tokens @ first.weight[:, start : (start := start + tokens.shape[-1])].T)
    expected = last(nn.functional.gelu(sum(parts) + first.bias))
    torch.testing.assert_close(fusion.fuse(features), expected, atol=1e-12, rtol=1e-12)


def test_it_is_equivariant_to_the_order_of_experts() -> None:
    fusion, features = randomise(*build(ChannelConcat, "abc"))
    order = ["c", "a", "b"]
    other = ChannelConcat({name: fusion.experts[name] for name in order}, WIDTH, grid=4).double()
    columns = fusion.projector[0].weight.split([shape.channels for shape in fusion.sources.values()], dim=1)
    blocks = dict(zip(fusion.experts, columns, strict=True))
    other.projector.load_state_dict(
        fusion.projector.state_dict() | {"0.weight": torch.cat([blocks[name] for name in order], dim=1)}
    )
    torch.testing.assert_close(other.fuse(features), fusion.fuse(features), atol=1e-12, rtol=1e-12)


def test_without_its_columns_an_expert_does_not_matter() -> None:
    fusion, features = randomise(*build(ChannelConcat, "ab"))
    with torch.no_grad():
        fusion.projector[0].weight[:, 8:] = 0
    changed = features | {"b": torch.randn_like(features["b"])}
    assert torch.equal(fusion.fuse(changed), fusion.fuse(features))


def test_a_cell_moves_its_own_token_alone() -> None:
    fusion, features = randomise(*build(ChannelConcat, "ac"))
    changed = {**features, "c": features["c"].clone()}
    changed["c"][:, :, 1, 2] = torch.randn_like(changed["c"][:, :, 1, 2])
    moved = (fusion.fuse(changed) != fusion.fuse(features)).any(dim=-1)
    assert moved[0].nonzero().flatten().tolist() == [1 * 4 + 2]


def test_norm_takes_out_an_experts_scale() -> None:
    fusion, features = build(ChannelConcat, 2, norm=True)
    scaled = features | {"a": features["a"] * 1000}
    torch.testing.assert_close(fusion.fuse(scaled), fusion.fuse(features), atol=1e-4, rtol=1e-3)
