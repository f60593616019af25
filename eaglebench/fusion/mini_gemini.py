"""Mini-Gemini: each token of the base attends to the high-resolution cells that it covers (arXiv 2403.18814)."""

from collections.abc import Mapping
from typing import Literal, cast

from pydantic import PositiveInt
from torch import Tensor, nn

from eaglebench.fusion.base import FeatureInfo, PyramidFusion
from eaglebench.fusion.grid import round_to_multiple
from eaglebench.fusion.place import Place
from eaglebench.fusion.window_attention import KeyValueProjection, windowed_cross_attention


class MiniGemini(PyramidFusion):
    """Patch info mining: N = G*G tokens `projector(X + attention)`, where X is the base's map on the common grid.

    Each token of X attends, with one head, to the cells of the other experts' maps inside its own window. The maps of
    an expert are concatenated along channels at the finest one's resolution. A single expert is only projected.

    Mini-Gemini has one high-resolution expert. With several, each has its own keys and values, and one softmax covers
    the cells of all of them.
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
        super().__init__(experts, width, stages, grid, align_corners, shrink, norm, projector_width, place)
        channels = self.aligned_channels(self.base)
        self.query = nn.Sequential(nn.LayerNorm(channels), nn.Linear(channels, channels)) if self.levels else None
        self.key_values = nn.ModuleDict(
            {
                name: KeyValueProjection(sum(self.sources[source].channels for source in sources), channels)
                for name, sources in self.levels.items()
            }
        )
        self.projector = self.build_projector(channels, self.norm)
        finest = [self.sources[sources[0]].grid for sources in self.levels.values()]
        if [round_to_multiple(side, self.grid) for side in finest] == [self.grid]:
            (name,) = self.levels
            self.notes.append(
                f"mini_gemini: {name} has no map finer than the grid of {self.grid}: each window is one cell, and "
                f"attention to it is a linear layer; give {name} a larger image_size, or lower fusion.grid."
            )

    def fuse(self, features: Mapping[str, Tensor]) -> Tensor:
        tokens_BNC = self.align_to_grid(features, self.base)
        if self.query is not None:
            queries = self.query(tokens_BNC)
            projections = [cast(KeyValueProjection, self.key_values[name]) for name in self.levels]
            pyramids = [[features[source] for source in sources] for sources in self.levels.values()]
            folded = [projection.fold_queries(queries) for projection in projections]
            found = windowed_cross_attention(folded, pyramids, self.grid, self.align_corners)
            for projection, (cells, share) in zip(projections, found, strict=True):
                tokens_BNC = tokens_BNC + projection.project_values(cells, share)
        tokens_BND: Tensor = self.projector(tokens_BNC)
        return tokens_BND
