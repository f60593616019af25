"""The spatial vision aggregator equals a loop over places and heads."""

import math

import torch
from torch import nn

from eaglebench.fusion.base import FeatureInfo, MapShape
from eaglebench.fusion.sva import Sva, SvaLayer
from tests.helpers.fusions import GRID, build, randomise


def test_a_layer_equals_a_loop_over_places_and_heads() -> None:
    torch.manual_seed(0)
    layer = SvaLayer(12, 3, {"a": 1, "b": 2}).double()
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.4)
    queries, context = torch.randn(2, 5, 12).double(), torch.randn(2, 12).double()
    cells = [torch.randn(2, 5, count, 12).double() for count in (1, 4)]
    expected = torch.zeros_like(queries)
    for image in range(2):
        for place in range(5):
            joined = layer.joined(torch.cat([queries[image, place], layer.context(context[image])]))
            keys, values = [], []
            for tower, (name, cell) in enumerate(zip("ab", cells, strict=True)):
                one = cell[image, place] + (layer.positions[name] if name == "b" else 0)
                keys += [layer.keys[tower](one)]
                values += [layer.values[tower](one)]
            key, value, query = torch.cat(keys), torch.cat(values), layer.query(joined)
            heads = []
            for head in range(3):
                here = slice(4 * head, 4 * head + 4)
                weights = (key[:, here] @ query[here] / math.sqrt(4)).softmax(0)
                heads.append(weights @ value[:, here])
            found = layer.output(torch.cat(heads))
            expected[image, place] = queries[image, place] + layer.mlp(joined + found)
    torch.testing.assert_close(layer(queries, context, cells), expected, atol=1e-12, rtol=1e-12)


def test_places_in_a_window_differ() -> None:
    fusion, features = randomise(*build(Sva, "ab"))
    swapped = features["b/0"].unflatten(3, (GRID, 2)).flip(-1).flatten(3)
    assert not torch.allclose(fusion.fuse(features | {"b/0": swapped}), fusion.fuse(features))


def test_without_its_last_layer_a_query_stays() -> None:
    fusion, features = randomise(*build(Sva, "abc"))
    for layer in fusion.layers:
        nn.init.zeros_(layer.mlp[3].weight)
    expected = fusion.projector(fusion.query.expand(3, GRID**2, -1))
    torch.testing.assert_close(fusion.fuse(features), expected, atol=1e-12, rtol=1e-12)


def test_a_window_is_no_larger_than_its_limit() -> None:
    fusion, _ = build(Sva, "abc")
    assert fusion.windows == {"a": 1, "b": 2, "c": 4}
    fusion, _ = build(Sva, "abc", window=2)
    assert fusion.windows == {"a": 1, "b": 2, "c": 2}


def test_it_has_the_size_of_the_description() -> None:
    """A layer with windows 1, 1, 1 and 4, as in Cambrian's release; the connector on CLIP-L and ConvNeXt-XXL."""
    with torch.device("meta"):
        layer = SvaLayer(1024, 16, {"a": 1, "b": 1, "c": 1, "d": 4})
        stages = tuple(MapShape(384 * 2**index, 256 // 2**index) for index in range(4))
        fusion = Sva({"clip": FeatureInfo(1024, 32), "convnext": FeatureInfo(3072, 32, stages)}, 4096)
    assert sum(parameter.numel() for parameter in layer.parameters()) == 15_765_504
    total = sum(parameter.numel() for parameter in fusion.parameters())
    projector = sum(parameter.numel() for parameter in fusion.projector.parameters())
    assert total - projector == 43_742_208
