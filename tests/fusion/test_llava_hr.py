"""LLaVA-HR's adapters start as the identity, receive gradients, and sit between the right blocks."""

import pytest
import torch
from torch import nn

from eaglebench.fusion.base import FeatureInfo, MapShape
from eaglebench.fusion.llava_hr import LlavaHr, MixtureOfResolutionAdapter, adapter_sites
from eaglebench.profiling.bench.fusion_subject import PrecomputedExpert
from tests.helpers.fusions import build, maps_of, randomise


def adapter(**highs: int) -> MixtureOfResolutionAdapter:
    torch.manual_seed(0)
    return MixtureOfResolutionAdapter(8, highs, align_corners=False)


@pytest.mark.parametrize(
    ("blocks", "sites"), [(24, [6, 12, 18]), (27, [7, 14, 20]), (2, [1]), (1, []), (12, [3, 6, 9])]
)
def test_sites_are_the_quarters(blocks: int, sites: list[int]) -> None:
    assert adapter_sites(blocks) == sites


def test_it_has_the_published_size() -> None:
    """With CLIP-L and ConvNeXt-XXL: three adapters of 14,737,409 and the final alignment."""
    infos = {
        "clip": FeatureInfo(1024, 32, blocks=24, block_map=MapShape(1024, 32)),
        "convnext": FeatureInfo(3072, 32),
    }
    with torch.device("meta"):
        fusion = LlavaHr(infos, 4096)
    counts = [sum(parameter.numel() for parameter in one.parameters()) for one in fusion.adapters.values()]
    assert counts == [14_737_409] * 3
    total = sum(parameter.numel() for parameter in fusion.parameters())
    assert total - sum(parameter.numel() for parameter in fusion.projector.parameters()) == 48_408_579


def test_a_fresh_adapter_changes_nothing() -> None:
    fresh = adapter(b=5, c=3)
    x = torch.randn(2, 8, 4, 4)
    highs = {"b": torch.randn(2, 5, 8, 8), "c": torch.randn(2, 3, 4, 4)}
    assert torch.equal(fresh(x, highs), x)


def test_a_fresh_fusion_is_the_base_and_the_last_maps_aligned() -> None:
    fusion, _ = build(LlavaHr, "abc")
    maps = maps_of("abc")
    given = fusion({name: PrecomputedExpert() for name in "abc"}, maps)
    expected = sum(fusion.align[name](fusion.align_to_grid({name: maps[name][-1]}, name)) for name in "abc")
    assert torch.equal(given, fusion.projector(expected))


def test_the_gate_is_alive() -> None:
    """In the first step only the zero convolutions get a gradient; in the second, the map and the gate do too."""
    fresh = adapter(b=5)
    optimizer = torch.optim.SGD(fresh.parameters(), lr=1.0)
    x, high = torch.randn(2, 8, 4, 4), torch.randn(2, 5, 4, 4)
    target = torch.randn_like(x)
    steps = []
    for _ in range(2):
        optimizer.zero_grad()
        high = high.detach().requires_grad_()
        (fresh(x, {"b": high}) * target).sum().backward()
        steps.append(
            {name for name, parameter in fresh.named_parameters() if parameter.grad.any()}
            | ({"map"} if high.grad.any() else set())
        )
        optimizer.step()
    assert steps[0] == {"local.2.weight", "local.2.bias", "high.b.2.weight", "high.b.2.bias"}
    assert steps[1] == {name for name, _ in fresh.named_parameters()} | {"map"}


def test_it_equals_the_formula() -> None:
    """With one expert on the same grid: refined + tanh(gate) * high, written from the description."""
    trained = adapter(b=5).double()
    for parameter in trained.parameters():
        nn.init.normal_(parameter, std=0.3)
    x, high = torch.randn(2, 8, 4, 4).double(), torch.randn(2, 5, 4, 4).double()
    weights = dict(trained.named_parameters())

    def convolved(name: str, value: torch.Tensor) -> torch.Tensor:
        return (
            torch.einsum("oi,bihw->bohw", weights[f"{name}.weight"][:, :, 0, 0], value)
            + weights[f"{name}.bias"][:, None, None]
        )

    gelu = nn.functional.gelu
    wide = nn.functional.conv2d(x, weights["local.0.weight"], weights["local.0.bias"], padding=3, groups=8)
    refined = x + convolved("local.2", gelu(wide))
    found = convolved("high.b.2", gelu(convolved("high.b.0", high)))
    means = torch.cat([refined, found], dim=1).mean(dim=(2, 3))
    hidden = gelu(means @ weights["gate.b.0.weight"].T + weights["gate.b.0.bias"])
    gate = torch.tanh(hidden @ weights["gate.b.2.weight"].T + weights["gate.b.2.bias"])
    expected = refined + gate[:, :, None, None] * found
    torch.testing.assert_close(trained(x, {"b": high}), expected, atol=1e-12, rtol=1e-12)


def test_a_closed_gate_shuts_an_expert_out() -> None:
    fusion, _ = randomise(*build(LlavaHr, "ab"))
    (site, *_) = fusion.adapters.values()
    for parameter in site.gate["b"][2].parameters():
        nn.init.zeros_(parameter)
    x = torch.randn(2, 8, 4, 4).double()
    first, second = (site(x, {"b": torch.randn(2, 5, 8, 8).double()}) for _ in range(2))
    assert torch.equal(first, second)
