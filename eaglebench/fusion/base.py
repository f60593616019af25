"""What every fusion promises: the experts' feature maps in, visual tokens of the language model's width out.

Shape letters: B batch, C expert channels, H W expert grid, G side of the common grid, N visual tokens, D language model width.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Literal, NamedTuple

from torch import Tensor, nn

from eaglebench.fusion.grid import Shrink, aligned_channels, to_grid, to_tokens
from eaglebench.fusion.projector import mlp_projector
from eaglebench.utils.errors import UserError

Stages = Literal["all", "last"]


class MapShape(NamedTuple):
    """Channels C and side H = W of a map."""

    channels: int
    grid: int


class Outline(NamedTuple):
    """What a fusion knows of an expert.

    Attributes:
        channels, grid: of its map.
        levels: of its pyramid, from the finest; none: that map alone.
        blocks: how many it has.
        block_map: of the map between them; None if it is no vision transformer.
    """

    channels: int
    grid: int
    levels: tuple[MapShape, ...] = ()
    blocks: int = 0
    block_map: MapShape | None = None


class Fusion(nn.Module, ABC):
    """Turns the maps of one or more experts into visual tokens.

    Args:
        experts: `{name: Outline}` in the user's order (or its fields, at least channels and grid); the first is the base.
        width: D, the language model's.
        grid: G, side of the common grid; the base expert's if None.
        align_corners, shrink: of the resizing to it (see `to_grid`).
        norm: LayerNorms where a strategy has them as an option. Training from scratch does not start without at useful learning
            rates; the papers' pretrained models have none.
        projector_width: of the projector's hidden layer; D if None.

    Attributes:
        visual_tokens: N, how many tokens an image becomes.
        sources: shapes of the maps that `fuse` takes.
        notes: what a user should know of this combination of experts.
    """

    visual_tokens: int

    def __init__(
        self,
        experts: Mapping[str, Outline],
        width: int,
        grid: int | None = None,
        align_corners: bool = False,
        shrink: Shrink = "antialias",
        norm: bool = False,
        projector_width: int | None = None,
    ) -> None:
        super().__init__()
        if not experts:
            raise UserError("a fusion needs at least one expert.")
        self.experts = {name: Outline(*outline) for name, outline in experts.items()}
        self.width = width
        self.base = next(iter(self.experts))
        self.grid = grid if grid is not None else self.experts[self.base].grid
        if self.grid < 1:
            raise UserError(f"fusion.grid={self.grid} must be at least 1.")
        self.align_corners = align_corners
        self.shrink = shrink
        self.norm = norm
        self.projector_width = projector_width
        self.visual_tokens = self.grid**2
        self.sources = {name: MapShape(one.channels, one.grid) for name, one in self.experts.items()}
        self.notes: list[str] = []

    def forward(self, experts: Mapping[str, nn.Module], pixels: Mapping[str, Tensor]) -> Tensor:
        """Visual tokens [B, N, D] of normalised pixels {name: [B, 3, S, S]}, each at its expert's own side."""
        return self.fuse(self.looked_at(experts, pixels))

    def looked_at(self, experts: Mapping[str, nn.Module], pixels: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The maps {source: [B, C, H, W]} of pixels, as `forward` takes them."""
        return {name: experts[name](pixels[name]) for name in self.experts}

    @abstractmethod
    def fuse(self, features: Mapping[str, Tensor]) -> Tensor:
        """Visual tokens [B, N, D] of the maps {source: [B, C, H, W]}."""

    def aligned(self, features: Mapping[str, Tensor], name: str) -> Tensor:
        """A source's tokens [B, G*G, C] on the common grid."""
        return to_tokens(to_grid(features[name], self.grid, self.align_corners, self.shrink))

    def aligned_channels(self, name: str) -> int:
        """Channels of `aligned`."""
        return aligned_channels(*self.sources[name], self.grid, self.shrink)

    def new_projector(self, channels: int, norm: bool) -> nn.Sequential:
        """The MLP from C channels to the language model's width, with a LayerNorm on its input if `norm`."""
        return mlp_projector(channels, self.width, self.projector_width, norm)


class PyramidFusion(Fusion):
    """A fusion whose base is met by finer maps of the other experts, at their own sides.

    Its sources are the base's map, by the base's name, and native maps of the others, `NAME/LEVEL`: all stages of an expert, or the
    last one that is finer than the common grid (the finest, if none is).

    Args:
        stages: `all` or `last`.

    Attributes:
        levels: `{name: sources}` of each other expert, from the finest.
    """

    def __init__(self, experts: Mapping[str, Outline], width: int, stages: Stages = "all", **common: object) -> None:
        super().__init__(experts, width, **common)  # type: ignore[arg-type]
        self.levels: dict[str, list[str]] = {}
        for name in list(self.experts)[1:]:
            del self.sources[name]
            shapes = self.levels_of(name)
            chosen = range(len(shapes)) if stages == "all" else [last_finer(shapes, self.grid)]
            self.levels[name] = [f"{name}/{level}" for level in chosen]
            self.sources |= {f"{name}/{level}": shapes[level] for level in chosen}

    def levels_of(self, name: str) -> list[MapShape]:
        """The native maps that an expert has."""
        outline = self.experts[name]
        return [MapShape(*level) for level in outline.levels] or [MapShape(outline.channels, outline.grid)]

    def looked_at(self, experts: Mapping[str, nn.Module], pixels: Mapping[str, Tensor]) -> dict[str, Tensor]:
        features = {self.base: experts[self.base](pixels[self.base])}
        for name, sources in self.levels.items():
            maps = experts[name].pyramid(pixels[name])  # type: ignore[operator]
            features |= {source: maps[int(source.rpartition("/")[2])] for source in sources}
        return features


def last_finer(levels: list[MapShape], grid: int) -> int:
    """The index of the last map with more than one cell for each of the grid's; of the finest, if none has."""
    finer = [index for index, level in enumerate(levels) if level.grid > grid]
    return finer[-1] if finer else 0
