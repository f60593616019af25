"""The contract of a fusion: feature maps of the experts in, visual tokens of the language model's width out.

Shape letters: B batch, C expert channels, H W expert grid, S side of an expert's input in pixels, G side of the common
grid, N visual tokens, D language model width.

The fields of `conf/fusion/NAME.yaml` are checked against the constructor's annotations, without importing this module.
Every constructor therefore spells its fields out, the common ones too, in terms of typing and pydantic only.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, TypeVar

from pydantic import PositiveInt
from torch import Tensor, nn

from eaglebench.fusion.grid import aligned_channels, to_grid, to_tokens
from eaglebench.fusion.place import Place, PlaceEmbedding
from eaglebench.fusion.projector import mlp_projector
from eaglebench.utils.errors import UserError


class MapShape(NamedTuple):
    """Channels C and side H = W of a square feature map."""

    channels: int
    grid: int


class FeatureInfo(NamedTuple):
    """The shapes of the features that an expert offers, as in timm's `feature_info`.

    Attributes:
        channels: C of the expert's map.
        grid: side H = W of the expert's map.
        levels: shapes of its pyramid's maps, the finest first; empty if its own map is all it has.
        blocks: number of its repeated blocks.
        block_map: shape of the map between two blocks; None if the expert is not a vision transformer.
    """

    channels: int
    grid: int
    levels: tuple[MapShape, ...] = ()
    blocks: int = 0
    block_map: MapShape | None = None


Encode = TypeVar("Encode", bound=Callable[..., Any])


def runs_experts_alone(encode: Encode) -> Encode:
    """Mark an `encode` that runs the experts and nothing of the fusion: maps of frozen experts can be kept."""
    encode.runs_experts_alone = True  # type: ignore[attr-defined]
    return encode


class Fusion(nn.Module, ABC):
    """Turns the feature maps of one or more experts into visual tokens.

    A subclass builds its layers in `__init__` and implements `fuse`. It overrides `encode` if it takes more than each
    expert's own map.

    Args:
        experts: `FeatureInfo` by expert name, in the user's order; the first expert is the base.
        width: D, the language model's embedding width.
        grid: G, the side of the common grid in cells; None: the base expert's.
        align_corners: resize maps to the common grid with aligned corners and without antialiasing, as Eagle's release
            does.
        shrink: how maps shrink to the common grid: `antialias` interpolates, `unshuffle` keeps all cells as channels
            (see `to_grid`).
        norm: add LayerNorms where the strategy has them as an option. Training from scratch needs them at useful
            learning rates; the papers' models, which start from pretrained weights, have none.
        projector_width: width of the projector's hidden layer; None: D.
        place: what each visual token gets of its place (see `PlaceEmbedding`); `none`: nothing. It is for tokens on the
            common grid; others call `embed_places`.

    Attributes:
        base: name of the base expert.
        visual_tokens: N, the number of visual tokens per image.
        sources: shapes of the maps that `fuse` takes, by source name.
        places: adds to each visual token the vector of its place; None: nothing does.
        notes: remarks about this combination of experts that are shown to the user.

    Raises:
        UserError: there is no expert.
    """

    visual_tokens: int

    def __init__(
        self,
        experts: Mapping[str, FeatureInfo],
        width: int,
        grid: PositiveInt | None = None,
        align_corners: bool = False,
        shrink: Literal["antialias", "unshuffle"] = "antialias",
        norm: bool = False,
        projector_width: PositiveInt | None = None,
        place: Place = "none",
    ) -> None:
        super().__init__()
        if not experts:
            raise UserError("a fusion needs at least one expert.")
        self.experts = {name: FeatureInfo(*info) for name, info in experts.items()}
        self.width = width
        self.base = next(iter(self.experts))
        self.grid = grid if grid is not None else self.experts[self.base].grid
        self.align_corners = align_corners
        self.shrink: Literal["antialias", "unshuffle"] = shrink
        self.norm = norm
        self.projector_width = projector_width
        self.visual_tokens = self.grid**2
        self.sources = {name: MapShape(info.channels, info.grid) for name, info in self.experts.items()}
        self.places: PlaceEmbedding | None = None
        self.embed_places(place)
        self.notes: list[str] = []

    def forward(self, experts: Mapping[str, nn.Module], pixels: Mapping[str, Tensor]) -> Tensor:
        """Encode images with the experts and fuse their maps.

        Args:
            experts: the expert modules by name.
            pixels: normalised pixels `{name: [B, 3, S, S]}`, each at its expert's own side S.

        Returns:
            Visual tokens [B, N, D].
        """
        return self.fuse_places(self.encode(experts, pixels))

    @property
    def keeps_maps(self) -> bool:
        """Whether its tokens follow from the experts' maps, so that those of frozen experts can be computed once."""
        kind = type(self)
        return kind.forward is Fusion.forward and getattr(kind.encode, "runs_experts_alone", False)

    def fuse_places(self, features: Mapping[str, Tensor]) -> Tensor:
        """Turn the maps `{source: [B, C, H, W]}` into visual tokens [B, N, D] that know their places."""
        tokens = self.fuse(features)
        return tokens if self.places is None else self.places(tokens)

    @runs_experts_alone
    def encode(self, experts: Mapping[str, nn.Module], pixels: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Run the experts on their pixels; returns the maps `{source: [B, C, H, W]}` that `fuse` takes."""
        return {name: experts[name](pixels[name]) for name in self.experts}

    @abstractmethod
    def fuse(self, features: Mapping[str, Tensor]) -> Tensor:
        """Turn the maps `{source: [B, C, H, W]}` into visual tokens [B, N, D], their places aside."""

    def align_to_grid(self, features: Mapping[str, Tensor], name: str) -> Tensor:
        """Resize the map of source `name` to the common grid; returns its tokens [B, G*G, C], row by row."""
        return to_tokens(to_grid(features[name], self.grid, self.align_corners, self.shrink))

    def aligned_channels(self, name: str) -> int:
        """Channels C of the tokens that `align_to_grid` returns for source `name`."""
        return aligned_channels(*self.sources[name], self.grid, self.shrink)

    def embed_places(self, kind: Place, side: int | None = None, copies: int = 1, interleaved: bool = False) -> None:
        """Add to each visual token the vector of its place.

        Args:
            kind: of the vectors (see `PlaceEmbedding`); `none`: none are added.
            side: of the grid that the tokens lie on; None: the common grid.
            copies: tokens of each cell.
            interleaved: the tokens of a cell follow each other.
        """
        if kind != "none":
            self.places = PlaceEmbedding(kind, side or self.grid, self.width, copies, interleaved)

    def build_projector(self, channels: int, norm: bool) -> nn.Sequential:
        """Build the MLP from C channels to D, with a LayerNorm on its input if `norm`."""
        return mlp_projector(channels, self.width, self.projector_width, norm)


class PyramidFusion(Fusion):
    """A fusion that joins the base's map with finer maps of the other experts, each at its own resolution.

    Its sources are the base's map, under the base's name, and native maps of the others, under `NAME/LEVEL`.

    Args:
        stages: which maps of another expert's pyramid are taken: `all`, or the `last` one that is finer than the common
            grid (the finest one if none is).

    Attributes:
        levels: the sources of each expert except the base, the finest first.
    """

    def __init__(
        self,
        experts: Mapping[str, FeatureInfo],
        width: int,
        stages: Literal["all", "last"] = "all",
        grid: PositiveInt | None = None,
        align_corners: bool = False,
        shrink: Literal["antialias", "unshuffle"] = "antialias",
        norm: bool = False,
        projector_width: PositiveInt | None = None,
        place: Place = "none",
    ) -> None:
        super().__init__(experts, width, grid, align_corners, shrink, norm, projector_width, place)
        self.levels: dict[str, list[str]] = {}
        for name in list(self.experts)[1:]:
            del self.sources[name]
            shapes = native_shapes(self.experts[name])
            chosen = range(len(shapes)) if stages == "all" else [last_finer_level(shapes, self.grid)]
            self.levels[name] = [f"{name}/{level}" for level in chosen]
            self.sources |= {f"{name}/{level}": shapes[level] for level in chosen}

    @runs_experts_alone
    def encode(self, experts: Mapping[str, nn.Module], pixels: Mapping[str, Tensor]) -> dict[str, Tensor]:
        features = {self.base: experts[self.base](pixels[self.base])}
        for name, sources in self.levels.items():
            maps = experts[name].forward_levels(pixels[name])  # type: ignore[operator]
            features |= {source: maps[int(source.rpartition("/")[2])] for source in sources}
        return features


def native_shapes(info: FeatureInfo) -> list[MapShape]:
    """Shapes of an expert's native maps, the finest first: its pyramid, or its own map if it has no pyramid."""
    return [MapShape(*level) for level in info.levels] or [MapShape(info.channels, info.grid)]


def last_finer_level(levels: list[MapShape], grid: int) -> int:
    """Index of the last map whose side exceeds `grid`; 0, the finest map, if none does."""
    finer = [index for index, level in enumerate(levels) if level.grid > grid]
    return finer[-1] if finer else 0
