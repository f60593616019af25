"""MoVA starts as the pooled base, and routes each image to the experts that its gate or its user chooses."""

import pytest
import torch
import torch.nn.functional as F

from eaglebench.fusion.mova import Mova, MovaAttention
from tests.helpers.fusions import GRID, build, randomise


def test_a_fresh_one_is_the_projected_pooled_base() -> None:
    fusion, features = build(Mova, "abc")
    pooled = F.avg_pool2d(features["a"], 2).flatten(2).transpose(1, 2)
    torch.testing.assert_close(fusion.fuse(features), fusion.projector(pooled))


@pytest.mark.parametrize("top", [2, 3])
def test_the_gate_keeps_the_best_and_shares_one_among_them(top: int) -> None:
    fusion, features = randomise(*build(Mova, "abcd", top=top))
    tokens = features["a"].flatten(2).transpose(1, 2)
    weights = fusion.blocks[0].gate_weights(tokens)
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(3).double())
    assert ((weights > 0).sum(dim=-1) == top).all()
    gate = fusion.blocks[0].gate(tokens.mean(dim=1))
    assert torch.equal(weights.argmax(dim=-1), gate.argmax(dim=-1))


def test_an_expert_that_is_not_routed_to_does_not_matter() -> None:
    fusion, features = randomise(*build(Mova, "abc", route=["c"]))
    before = fusion.fuse(features)
    assert torch.equal(fusion.fuse(features | {"b": torch.randn_like(features["b"])}), before)
    (note,) = fusion.notes
    assert note == "mova: b is not routed to, and neither run nor trained."
    assert not torch.allclose(fusion.fuse(features | {"c": torch.randn_like(features["c"])}), before)


def test_it_is_equivariant_to_the_order_of_experts() -> None:
    fusion, features = randomise(*build(Mova, "abc"))
    other, _ = build(Mova, "acb")
    other.double()
    state = fusion.state_dict()
    for key in list(state):
        if ".gate.2." in key:
            state[key] = state[key].flip(0)
    other.load_state_dict(state)
    torch.testing.assert_close(other.fuse(features), fusion.fuse(features), atol=1e-12, rtol=1e-12)


def test_attention_knows_relative_places() -> None:
    """The same map moved by a cell meets queries moved by a cell with the same products."""
    torch.manual_seed(0)
    fusion, _ = build(Mova, "ab")
    attention = MovaAttention(8, 8, 2).double()
    rope = fusion.rope.double()
    q, k = attention.query(torch.randn(1, GRID**2, 8).double()), attention.key(torch.randn(1, GRID**2, 8).double())
    from timm.layers import apply_rot_embed_cat

    def product(places: tuple[int, int]) -> torch.Tensor:
        """Of one query and one key, put at two places."""
        q0, k0 = (one[:, :1].expand(-1, GRID**2, -1).unflatten(-1, (2, -1)).transpose(1, 2) for one in (q, k))
        turned = apply_rot_embed_cat(q0, rope), apply_rot_embed_cat(k0, rope)
        return (turned[0][:, :, places[0]] * turned[1][:, :, places[1]]).sum(-1)

    torch.testing.assert_close(product((0, 1)), product((9, 10)))
    torch.testing.assert_close(product((0, GRID)), product((5, 5 + GRID)))
    assert not torch.allclose(product((0, 1)), product((0, 2)))
