"""The contract of every fusion, for one to six experts."""

import re

import pytest
import torch

from eaglebench.config.compose import options
from eaglebench.fusion.base import FeatureInfo, Fusion, MapShape
from eaglebench.fusion.channel_concat import ChannelConcat
from eaglebench.fusion.deformable import Deformable
from eaglebench.fusion.llava_hr import LlavaHr
from eaglebench.fusion.mini_gemini import MiniGemini
from eaglebench.fusion.mova import Mova
from eaglebench.fusion.projector import mlp_projector
from eaglebench.fusion.sequence_append import SequenceAppend
from eaglebench.fusion.sva import Sva
from eaglebench.profiling.bench.fusion_subject import PrecomputedExpert
from eaglebench.utils.errors import UserError
from tests.helpers.fusions import ARGUMENTS, FUSIONS, GRID, INFOS, WIDTH, build, maps_of, randomise

TOKENS = {SequenceAppend: lambda experts: experts * GRID**2, Mova: lambda _: GRID**2 // 4}


def test_every_strategy_is_under_test() -> None:
    assert len(FUSIONS) == len(options("fusion"))


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("count", range(1, 7))
@pytest.mark.parametrize("cls", FUSIONS)
def test_maps_become_the_promised_tokens(cls: type[Fusion], count: int, norm: bool) -> None:
    fusion, features = build(cls, count, norm=norm)
    tokens = fusion.fuse(features)
    assert fusion.visual_tokens == TOKENS.get(cls, lambda _: GRID**2)(count)
    assert tokens.shape == (3, fusion.visual_tokens, WIDTH)
    assert tokens.dtype == torch.float32


@pytest.mark.parametrize("count", [1, 2, 3, 6])
@pytest.mark.parametrize("cls", FUSIONS)
def test_gradient_soon_reaches_every_parameter_and_after_one_step_every_expert(cls: type[Fusion], count: int) -> None:
    """What lies before parameters that start at zero is reached in the second step, and MoVA's gate in the third."""
    fusion, _ = build(cls, count, norm=True)
    names = "".join(fusion.experts)
    optimizer = torch.optim.SGD(fusion.parameters(), lr=0.1)
    pixels, reached = maps_of(names), set()
    for step in range(3 if cls is Mova else 2):
        inputs = {name: [value.detach().requires_grad_() for value in maps] for name, maps in pixels.items()}
        optimizer.zero_grad()
        fusion({name: PrecomputedExpert() for name in names}, inputs).square().sum().backward()
        reached |= {name for name, parameter in fusion.named_parameters() if parameter.grad.abs().max() > 1e-9}
        optimizer.step()
        if step:
            for maps in inputs.values():
                assert any(value.grad is not None and value.grad.any() for value in maps)
    unreached = {name for name, _ in fusion.named_parameters()} - reached
    # What adds the same to every product of a query, the softmax takes out: with one expert to mine, these two biases.
    legal = {"key_values.b.key.bias", "key_values.b.key_norm.bias"} if count == 2 else set()
    if cls is Mova:  # f's map is one cell: wherever attention looks, it finds the same
        legal = {name for name in unreached if re.search(r"attentions\.f\.(query|key)", name)}
    if cls is Sva and count == 1:  # its windows have one cell each: there is nothing to choose between
        legal = {name for name in unreached if re.search(r"layers\.\d\.(query|keys)\.", name)}
    assert unreached - legal == set()


@pytest.mark.parametrize("cls", FUSIONS)
def test_the_experts_are_run_on_their_own_pixels(cls: type[Fusion]) -> None:
    fusion, _ = build(cls, "abc")
    randomise(fusion, {})
    pixels = {name: [value.double() for value in maps] for name, maps in maps_of("abc").items()}
    experts = {name: PrecomputedExpert() for name in "abc"}
    tokens = fusion(experts, pixels)
    for name in "abc":
        others = {**pixels, name: [torch.randn_like(value) for value in pixels[name]]}
        assert not torch.allclose(fusion(experts, others), tokens), name


@pytest.mark.parametrize("cls", FUSIONS)
def test_images_do_not_meet_in_a_batch(cls: type[Fusion]) -> None:
    fusion, _ = randomise(*build(cls, "abc"))
    experts = {name: PrecomputedExpert() for name in "abc"}
    pixels = {name: [value.double() for value in maps] for name, maps in maps_of("abc").items()}
    alone = [fusion(experts, {n: [value[[i]] for value in maps] for n, maps in pixels.items()}) for i in range(3)]
    torch.testing.assert_close(torch.cat(alone), fusion(experts, pixels), atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("cls", FUSIONS)
def test_half_precision_stays_near(cls: type[Fusion]) -> None:
    """Under autocast, from maps in half precision, and with a side at which half precision cannot tell places apart."""
    wide = {"a": INFOS["a"], "b": FeatureInfo(5, 4, (MapShape(5, 200),))}
    torch.manual_seed(0)
    fusion = cls(wide, WIDTH, grid=4, norm=True, **ARGUMENTS[cls])
    for parameter in fusion.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    experts = {name: PrecomputedExpert() for name in wide}
    pixels = {"a": [torch.randn(2, 8, 4, 4)], "b": [torch.randn(2, 5, 200, 200), torch.randn(2, 5, 4, 4)]}
    expected = fusion(experts, pixels)
    with torch.autocast("cpu", torch.bfloat16):
        given = fusion(experts, {name: [value.bfloat16() for value in maps] for name, maps in pixels.items()})
    assert (given.float() - expected).norm() < 3e-2 * expected.norm()


@pytest.mark.parametrize("cls", [SequenceAppend, LlavaHr, MiniGemini, Deformable])
def test_an_expert_alone_is_projected(cls: type[Fusion]) -> None:
    """A fusion that adds something of others to the base adds nothing without others."""
    fusion, features = build(cls, 1)
    tokens = features["a"].flatten(2).transpose(1, 2)
    if cls is LlavaHr:
        tokens = fusion.align["a"](tokens)
    projector = fusion.projectors["a"] if cls is SequenceAppend else fusion.projector
    torch.testing.assert_close(fusion.fuse(features), projector(tokens))


@pytest.mark.parametrize("cls", [cls for cls in FUSIONS if cls is not Sva])
def test_a_map_that_shrinks_can_keep_its_cells_as_channels(cls: type[Fusion]) -> None:
    """The base's, or of LLaVA-HR another one's in the last alignment; the aggregator shrinks none."""
    names = "ab" if cls is LlavaHr else "ba"
    fusion, features = build(cls, names, shrink="unshuffle", **{"heads": 1} if cls is Mova else {})
    assert fusion.aligned_channels("b") == 4 * 5
    source = {**features, "b": torch.randn_like(features["b"])}
    assert fusion.fuse(features).shape == (3, fusion.visual_tokens, WIDTH)
    assert not torch.allclose(fusion.fuse(source), fusion.fuse(features))


@pytest.mark.parametrize("cls", [MiniGemini, Sva])
def test_a_window_speaks_to_its_own_token_alone(cls: type[Fusion]) -> None:
    """Of every expert but the base, whose mean the aggregator tells all queries."""
    fusion, features = randomise(*build(cls, "ab"))
    changed = {**features, "b/0": features["b/0"].clone()}
    changed["b/0"][:, :, 2:4, 6:8] = torch.randn(3, 5, 2, 2).double()
    moved = (fusion.fuse(changed) - fusion.fuse(features)).abs().amax(dim=(0, 2)) > 1e-12
    assert moved.nonzero().flatten().tolist() == [1 * GRID + 3]


def test_the_grid_is_the_bases_unless_it_is_given() -> None:
    infos = {"a": FeatureInfo(6, 4), "b": FeatureInfo(5, 8)}
    assert ChannelConcat(infos, WIDTH).visual_tokens == 16
    assert ChannelConcat(infos, WIDTH, grid=3).visual_tokens == 9


def test_what_a_strategy_cannot_take_is_refused() -> None:
    with pytest.raises(UserError, match="at least one expert"):
        ChannelConcat({}, WIDTH)
    with pytest.raises(UserError, match=r"b is no vision transformer .* 'experts=\[clip,b,a\]'"):
        LlavaHr({"b": INFOS["b"], "a": INFOS["a"]}, WIDTH)
    with pytest.raises(UserError, match=r"leave experts\.clip\.high_res=interpolate"):
        LlavaHr({"clip": INFOS["b"], "a": INFOS["a"]}, WIDTH)
    with pytest.raises(UserError, match=r"fusion\.top=1 leaves the gate nothing to weigh"):
        build(Mova, "abc", top=1)
    with pytest.raises(UserError, match="names z: choose from b"):
        build(Mova, "ab", route=["z"])
    with pytest.raises(UserError, match="must be even"):
        build(Mova, "ab", grid=3)


@pytest.mark.parametrize(
    ("channels", "published"),
    [(4096, 33_562_624), (5120, 37_756_928), (6656, 44_048_384), (7680, 48_242_688)],  # Eagle X2 to X5 at D = 4096
)
def test_projectors_have_the_published_sizes(channels: int, published: int) -> None:
    with torch.device("meta"):
        projector = mlp_projector(channels, 4096)
    assert sum(parameter.numel() for parameter in projector.parameters()) == published


def test_map_shapes_are_taken_from_plain_tuples() -> None:
    fusion = ChannelConcat({"a": (6, 4)}, WIDTH)  # type: ignore[dict-item]
    assert fusion.sources == {"a": MapShape(6, 4)}


@pytest.mark.parametrize("cls", FUSIONS)
def test_maps_can_be_kept_where_nothing_of_the_fusion_makes_them(cls: type[Fusion]) -> None:
    fusion, _ = build(cls, "ab")
    assert fusion.keeps_maps == (cls is not LlavaHr)

    class Reaching(cls):  # type: ignore[misc, valid-type]
        """A fusion of a user's that does more in between."""

        def forward(self, experts: object, pixels: object) -> torch.Tensor:
            return super().forward(experts, pixels) * 2

    fusion.__class__ = Reaching
    assert not fusion.keeps_maps
