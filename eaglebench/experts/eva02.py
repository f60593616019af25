"""EVA-02: the detection expert."""

from collections.abc import Sequence

from timm.models.eva import Eva
from torch import Tensor, nn

from eaglebench.experts.base import VisionExpert, tokens_to_map
from eaglebench.experts.statistics import IMAGENET_MEAN, IMAGENET_STD


class Eva02(VisionExpert):
    """Patch tokens of timm's EVA-02 (rotary positions, SwiGLU with an inner norm), without a class or final norm.

    `pretrained_grid` is the grid whose rotary positions the weights know; other sizes are scaled to it.
    """

    def __init__(
        self,
        image_size: int = 1024,
        patch_size: int = 16,
        width: int = 1024,
        depth: int = 24,
        heads: int = 16,
        mlp_ratio: float = 8 / 3,
        pretrained_grid: int = 16,
        unshuffle: int = 1,
    ) -> None:
        super().__init__(
            image_size=image_size,
            stride=patch_size,
            channels=width,
            mean=IMAGENET_MEAN,
            std=IMAGENET_STD,
            unshuffle=unshuffle,
        )
        self.network = Eva(
            img_size=image_size,
            patch_size=patch_size,
            num_classes=0,
            global_pool="",
            embed_dim=width,
            depth=depth,
            num_heads=heads,
            mlp_ratio=mlp_ratio,
            qkv_fused=False,
            swiglu_mlp=True,
            scale_mlp=True,
            class_token=False,
            use_rot_pos_emb=True,
            ref_feat_shape=pretrained_grid,
        )
        self.network.norm = nn.Identity()

    def encode(self, pixels_B3SS: Tensor) -> Tensor:
        tokens_BNC: Tensor = self.network.forward_features(pixels_B3SS)
        return tokens_to_map(tokens_BNC)

    def blocks(self) -> Sequence[nn.Module]:
        return list(self.network.blocks)
