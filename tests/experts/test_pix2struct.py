"""Pix2Struct's patches are those of upstream's image processor."""

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import Pix2StructImageProcessor

from eaglebench.data.images import load_image
from eaglebench.data.square import ImageSettings
from eaglebench.experts.pix2struct import Pix2Struct


@pytest.mark.parametrize("size", [(64, 64), (100, 100), (37, 37), (100, 60)])
def test_patches_are_flattened_as_by_upstreams_processor(size: tuple[int, int]) -> None:
    """At its own side, shrunk and stretched; an image that is not square is padded first, as everywhere here."""
    expert = Pix2Struct(image_size=64, patch_size=16, width=32, depth=1, heads=2, mlp_width=64, positions=16)
    width, height = size
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    image = load_image(Image.fromarray(noise), max(size), ImageSettings())
    processor = Pix2StructImageProcessor(patch_size={"height": 16, "width": 16}, max_patches=16, is_vqa=False)
    expected = processor(images=Image.fromarray(image.permute(1, 2, 0).numpy()), return_tensors="pt")[
        "flattened_patches"
    ]
    seen = []
    expert.network.embeddings.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    expert(expert.preprocess(image[None]))
    torch.testing.assert_close(seen[0], expected, atol=1e-4, rtol=1e-4)
