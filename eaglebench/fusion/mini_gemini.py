"""Mini-Gemini: each token of the base looks into the window of the high-resolution maps that it covers (arXiv 2403.18814)."""

from collections.abc import Mapping
from typing import Any, cast

from torch import Tensor, nn

from eaglebench.fusion.base import Outline, PyramidFusion
from eaglebench.fusion.grid import whole_multiple
from eaglebench.fusion.window_attention import Mine, mined


class MiniGemini(PyramidFusion):
    """Patch info mining: N = G*G tokens `projector(X + attention)`, where each token of the base's map X on the common grid attends, with
    one head, to the cells of the other experts in its own window.

    The maps of an expert are joined on channels at the finest one's side. For more than one high-resolution expert, which Mini-Gemini
    does not have, each has its own keys and values, and one softmax goes over the cells of all. An expert alone is only projected.
    """

    def __init__(self, experts: Mapping[str, Outline], width: int, **common: Any) -> None:
        super().__init__(experts, width, **common)
        channels = self.aligned_channels(self.base)
        self.query = nn.Sequential(nn.LayerNorm(channels), nn.Linear(channels, channels)) if self.levels else None
        self.mines = nn.ModuleDict(
            {
                name: Mine(sum(self.sources[source].channels for source in sources), channels)
                for name, sources in self.levels.items()
            }
        )
        self.projector = self.new_projector(channels, self.norm)
        finest = [self.sources[sources[0]].grid for sources in self.levels.values()]
        if [whole_multiple(side, self.grid) for side in finest] == [self.grid]:
            (name,) = self.levels
            self.notes.append(
                f"mini_gemini: {name} has no map finer than the grid of {self.grid}: each window is one cell, and attention to it is a "
                f"linear layer; give {name} a larger image_size, or lower fusion.grid."
            )

    def fuse(self, features: Mapping[str, Tensor]) -> Tensor:
        tokens_BNC = self.aligned(features, self.base)
        if self.query is not None:
            queries = self.query(tokens_BNC)
            asked = [self.mine(name).asked(queries) for name in self.levels]
            pyramids = [[features[source] for source in sources] for sources in self.levels.values()]
            answers = mined(asked, pyramids, self.grid, self.align_corners)
            for name, answer in zip(self.levels, answers, strict=True):
                tokens_BNC = tokens_BNC + self.mine(name).answered(*answer)
        return self.projector(tokens_BNC)

    def mine(self, name: str) -> Mine:
        """Keys and values of an expert."""
        return cast(Mine, self.mines[name])
