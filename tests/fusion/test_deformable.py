"""Deformable attention equals transformers' and a plain loop, and pooling where its points say so."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.models.deformable_detr.modeling_deformable_detr import MultiScaleDeformableAttention

from eaglebench.fusion.base import FeatureInfo, MapShape
from eaglebench.fusion.deformable import Deformable, multi_scale_deformable_attention, ring_offsets
from eaglebench.utils.errors import UserError
from tests.helpers.fusions import GRID, build, randomise

SIDES = [(4, 8), (6, 3)]  # rows, columns: unequal, so that x and y cannot be mistaken for each other
HEADS, POINTS, QUERIES = 2, 3, 5


def problem(low: float, high: float) -> tuple[list[Tensor], Tensor, Tensor]:
    torch.manual_seed(0)
    values = [torch.randn(2, HEADS, 4, *side).double() for side in SIDES]
    places = torch.empty(2, QUERIES, HEADS, len(SIDES), POINTS, 2).double().uniform_(low, high)
    weights = torch.randn(2, QUERIES, HEADS, len(SIDES) * POINTS).double().softmax(-1)
    return values, places, weights.unflatten(-1, (len(SIDES), POINTS))


def test_it_equals_transformers_forward_and_backward() -> None:
    """Within the maps: transformers has zeros beyond their edges."""
    values, places, weights = problem(0.2, 0.8)
    results = []
    for theirs in (False, True):
        inputs = [one.clone().requires_grad_() for one in (*values, places, weights)]
        maps, where, shares = inputs[:2], inputs[2], inputs[3]
        if theirs:
            flat = torch.cat([one.flatten(3) for one in maps], dim=3).permute(0, 3, 1, 2)
            starts = torch.tensor([0, math.prod(SIDES[0])])
            out = MultiScaleDeformableAttention()(flat, torch.tensor(SIDES), SIDES, starts, where, shares, 64)
        else:
            out = multi_scale_deformable_attention(maps, where, shares)
        (out * torch.linspace(-1, 1, out.numel()).double().view_as(out)).sum().backward()
        results.append((out, [one.grad for one in inputs]))
    torch.testing.assert_close(results[0], results[1], atol=1e-12, rtol=1e-12)


def test_it_equals_a_loop_over_points_beyond_the_edges_too() -> None:
    values, places, weights = problem(-0.3, 1.3)
    expected = torch.zeros(2, QUERIES, HEADS, 4).double()
    for image in range(2):
        for query in range(QUERIES):
            for head in range(HEADS):
                for level, (rows, columns) in enumerate(SIDES):
                    for point in range(POINTS):
                        x, y = (float(one) for one in places[image, query, head, level, point])
                        x = min(max(x * columns - 0.5, 0.0), columns - 1.0)
                        y = min(max(y * rows - 0.5, 0.0), rows - 1.0)
                        value = values[level][image, head]
                        for row in (math.floor(y), math.floor(y) + 1):
                            for column in (math.floor(x), math.floor(x) + 1):
                                share = max(0.0, 1 - abs(y - row)) * max(0.0, 1 - abs(x - column))
                                if share:
                                    expected[image, query, head] += (
                                        weights[image, query, head, level, point] * share * value[:, row, column]
                                    )
    torch.testing.assert_close(
        multi_scale_deformable_attention(values, places, weights), expected.flatten(2), atol=1e-12, rtol=1e-12
    )


@pytest.mark.parametrize("window", [2, 3])
def test_points_on_the_cells_of_a_window_pool_it(window: int) -> None:
    """Offsets on the centres, equal weights, and layers that change nothing: the average of the window."""
    channels, points = 8, window**2
    infos = {"a": FeatureInfo(channels, GRID), "b": FeatureInfo(channels, GRID * window)}
    fusion = Deformable(infos, 16, heads=2, points=points).double()
    steps = torch.arange(window) - (window - 1) / 2
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    fusion.offsets.bias.data = torch.stack([x, y], dim=-1).flatten().repeat(2).double()
    (value,) = fusion.values.values()
    value[0] = nn.Identity()
    for layer in (value[1], fusion.output):
        nn.init.eye_(layer.weight)
    base, maps = (
        torch.randn(3, GRID**2, channels).double(),
        torch.randn(3, channels, GRID * window, GRID * window).double(),
    )
    expected = F.avg_pool2d(maps, window).flatten(2).transpose(1, 2)
    torch.testing.assert_close(fusion.attend(base, {"b/0": maps}), expected, atol=1e-6, rtol=1e-6)


def test_it_begins_inside_the_tokens_own_cell() -> None:
    """On a level of any side the ring reaches the cell's edge, so that a far change is not seen."""
    offsets = ring_offsets(8, 4)
    assert offsets.abs().amax() == pytest.approx(1)
    torch.testing.assert_close(offsets[:, 1], 2 * offsets[:, 0])
    fusion, features = build(Deformable, "ab")
    changed = {**features, "b/0": features["b/0"].clone()}
    changed["b/0"][:, :, 4:, :] += torch.randn(3, 5, 4, 8)  # the lower half
    same = (fusion.fuse(changed) == fusion.fuse(features)).all(dim=-1).all(dim=0)
    assert same.view(GRID, GRID)[0].all()  # the second row reaches over its edge by half a cell
    assert not same.view(GRID, GRID)[2:].any()


def test_without_its_output_it_is_the_projected_base() -> None:
    fusion, features = randomise(*build(Deformable, "abc"))
    for parameter in fusion.output.parameters():
        nn.init.zeros_(parameter)
    expected = fusion.projector(features["a"].flatten(2).transpose(1, 2))
    assert torch.equal(fusion.fuse(features), expected)


@pytest.mark.parametrize(
    ("levels", "expected"),
    [([(3072, 32)], 4_401_344), ([(384, 256), (768, 128), (1536, 64), (3072, 32)], 7_752_704)],
)
def test_it_has_the_size_of_its_description(levels: list[tuple[int, int]], expected: int) -> None:
    shapes = tuple(MapShape(*level) for level in levels)
    with torch.device("meta"):
        fusion = Deformable({"clip": FeatureInfo(1024, 32), "convnext": FeatureInfo(*shapes[-1], shapes)}, 4096)
    total = sum(parameter.numel() for parameter in fusion.parameters())
    assert total - sum(parameter.numel() for parameter in fusion.projector.parameters()) == expected


def test_heads_that_do_not_divide_the_channels_are_refused() -> None:
    with pytest.raises(UserError, match="must divide the 8 channels of a"):
        build(Deformable, "ab", heads=3)
