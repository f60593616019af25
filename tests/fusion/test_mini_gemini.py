"""Patch info mining equals naive attention window by window, whatever the chunk size."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from eaglebench.fusion import window_attention
from eaglebench.fusion.base import FeatureInfo, Fusion, MapShape
from eaglebench.fusion.grid import interpolation_weights, split_windows, to_grid
from eaglebench.fusion.mini_gemini import MiniGemini
from tests.helpers.fusions import GRID, build, randomise


def attend_naively(fusion: Fusion, features: dict[str, Tensor]) -> Tensor:
    """Naive attention: one query and one window after the other, with keys and values as in the paper."""
    base = features["a"]
    out = torch.zeros(len(base), GRID**2, base.shape[1], dtype=base.dtype)
    joined = {}
    for name, sources in fusion.levels.items():
        side = features[sources[0]].shape[-1]
        side = max(1, round(side / GRID)) * GRID
        joined[name] = torch.cat(
            [
                F.interpolate(features[one], (side, side), mode="bilinear", antialias=features[one].shape[-1] > side)
                for one in sources
            ],
            dim=1,
        )
    for image in range(len(base)):
        for row in range(GRID):
            for column in range(GRID):
                token = base[image, :, row, column]
                query = fusion.query(token)
                logits, values = [], []
                for name, whole in joined.items():
                    m, projection = whole.shape[-1] // GRID, fusion.key_values[name]
                    for y in range(row * m, (row + 1) * m):
                        for x in range(column * m, (column + 1) * m):
                            cell = whole[image, :, y, x]
                            key = projection.key(projection.key_norm(cell)) / math.sqrt(len(token))
                            logits.append(query @ key)
                            values.append(projection.value(projection.value_norm(cell)))
                weights = torch.stack(logits).softmax(0)
                out[image, row * GRID + column] = token + weights @ torch.stack(values)
    return fusion.projector(out)


@pytest.mark.parametrize("at_once", [1, 400, 5000, 2**22])
@pytest.mark.parametrize("names", ["ab", "ac", "abc", "ace", "abcdef"])
def test_it_equals_a_loop_over_windows_forward_and_backward(
    names: str, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window_attention, "CELLS_AT_ONCE", at_once)
    fusion, features = randomise(*build(MiniGemini, names))
    given, expected = (
        {name: value[:2].detach().clone().requires_grad_() for name, value in features.items()} for _ in range(2)
    )
    results = []
    for compute, inputs in ((fusion.fuse, given), (lambda value: attend_naively(fusion, value), expected)):
        fusion.zero_grad()
        tokens = compute(inputs)
        (tokens * torch.linspace(-1, 1, tokens.numel(), dtype=tokens.dtype).view_as(tokens)).sum().backward()
        results.append(
            (tokens, [value.grad for value in inputs.values()], [p.grad.clone() for p in fusion.parameters()])
        )
    torch.testing.assert_close(results[0], results[1], atol=1e-10, rtol=1e-10)


def test_windows_are_those_of_unfold() -> None:
    features = torch.randn(2, 3, 8, 8)
    windows = split_windows(features, 2)
    unfolded = F.unfold(features, 2, stride=2).unflatten(1, (3, 4)).permute(0, 3, 2, 1)
    assert torch.equal(windows, unfolded)


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("side", [3, 8, 13])
def test_parts_are_resized_as_whole_maps_are(side: int, align_corners: bool) -> None:
    features = torch.randn(2, 3, side, side)
    along = interpolation_weights(side, 8, align_corners)
    halves = [along[:4], along[4:]]

    def region(rows: Tensor, columns: Tensor) -> Tensor:
        needed = features[:, :, window_attention.nonzero_columns(rows), window_attention.nonzero_columns(columns)]
        return window_attention.resize_region(needed, rows, columns)

    parts = [torch.cat([region(rows, columns) for columns in halves], dim=3) for rows in halves]
    torch.testing.assert_close(torch.cat(parts, dim=2), to_grid(features, 8, align_corners), atol=1e-6, rtol=1e-5)


def test_the_order_within_a_window_is_nothing() -> None:
    fusion, features = randomise(*build(MiniGemini, "ab"))
    swapped = features["b/0"].unflatten(3, (GRID, 2)).flip(-1).flatten(3)
    torch.testing.assert_close(fusion.fuse(features | {"b/0": swapped}), fusion.fuse(features), atol=1e-12, rtol=1e-12)


def test_without_values_it_is_the_projected_base() -> None:
    fusion, features = randomise(*build(MiniGemini, "abc"))
    for projection in fusion.key_values.values():
        torch.nn.init.zeros_(projection.value.weight)
        torch.nn.init.zeros_(projection.value.bias)
    expected = fusion.projector(features["a"].flatten(2).transpose(1, 2))
    torch.testing.assert_close(fusion.fuse(features), expected, atol=1e-12, rtol=1e-12)


def test_a_window_of_one_cell_is_noted() -> None:
    one_cell = {"a": FeatureInfo(8, 4), "b": FeatureInfo(5, 4, (MapShape(5, 4),))}
    (note,) = MiniGemini(one_cell, 16, grid=4).notes
    assert note.startswith("mini_gemini: b has no map finer than the grid of 4")
    assert MiniGemini(one_cell | {"c": FeatureInfo(3, 4)}, 16, grid=4).notes == []  # two cells to choose from
    assert MiniGemini(one_cell, 16, grid=2).notes == []


def test_an_earlier_stage_is_taken_where_the_last_is_no_finer_than_the_grid() -> None:
    fusion, _ = build(MiniGemini, "acd", stages="last")
    assert fusion.levels == {"c": ["c/1"], "d": ["d/0"]}


@pytest.mark.parametrize(("dims", "published"), [((384, 768, 1536, 3072), 12_873_216), ((3072,), 7_357_440)])
def test_it_has_the_size_of_the_description(dims: tuple[int, ...], published: int) -> None:
    levels = tuple(MapShape(channels, 32) for channels in dims)
    with torch.device("meta"):
        fusion = MiniGemini({"clip": FeatureInfo(1024, 32), "convnext": FeatureInfo(dims[-1], 32, levels)}, 4096)
    total = sum(parameter.numel() for parameter in fusion.parameters())
    assert total - sum(parameter.numel() for parameter in fusion.projector.parameters()) == published
