"""The tiny language model comes with the vectors of places that it was pretrained with."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from eaglebench.config.build import build_factory
from eaglebench.fusion.place import resize_table
from eaglebench.language.tiny import build_tiny_llama
from eaglebench.utils.errors import UserError
from eaglebench.weights.files import write_weights
from tests.conftest import composed

SIZES = {"width": 16, "depth": 1, "heads": 2, "mlp_width": 32}


def test_places_are_read_beside_the_checkpoint(tmp_path: Path) -> None:
    fresh = build_tiny_llama(**SIZES)
    assert fresh.places is None
    write_weights(tmp_path / "llm.safetensors", fresh.network.state_dict())
    assert build_tiny_llama(**SIZES, checkpoint=tmp_path / "llm.safetensors").places is None
    offsets = torch.randn(16, 4, 4)
    save_file({"places.offsets": offsets}, tmp_path / "llm.head.safetensors")
    read = build_tiny_llama(**SIZES, checkpoint=tmp_path / "llm.safetensors").places
    assert read is not None
    table = fresh.network.get_input_embeddings().weight.detach()
    (name,) = fresh.tokenizer("b3", add_special_tokens=False)["input_ids"]
    torch.testing.assert_close(read[:, 2, 1], table[name] + offsets[:, 2, 1])
    save_file({"places.offsets": torch.randn(16, 8, 8)}, tmp_path / "llm.head.safetensors")
    with pytest.raises(UserError, match=r"llm.head.safetensors .* 16 x 8 x 8, not 16 x 4 x 4: pretrain it again"):
        build_tiny_llama(**SIZES, checkpoint=tmp_path / "llm.safetensors")


def test_the_places_of_a_fusion_start_from_them() -> None:
    factory = build_factory(composed())
    model, language = factory.build_model(factory.experts)
    assert model.fusion is not None and model.fusion.places is not None and language.places is not None
    torch.testing.assert_close(model.fusion.places.table.detach(), resize_table(language.places.float(), 4))
    without = build_factory(composed("llm.checkpoint=none"))
    fusion = without.build_model(without.experts)[0].fusion
    assert fusion is not None and fusion.places is not None and not fusion.places.table.any()
