"""Language models are read from what their upstream classes write."""

from collections.abc import Callable
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from eaglebench.data.conversation import TEMPLATES
from eaglebench.language.base import LanguageModel
from eaglebench.language.pretrained import build_from_architecture, load_pretrained
from eaglebench.language.tiny import build_tiny_llama
from eaglebench.language.tokenizer import tiny_tokenizer
from eaglebench.utils.errors import UserError


def test_a_saved_model_gives_the_same_outputs(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer()
    network = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2
        )
    ).eval()
    network.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    language = load_pretrained(str(tmp_path), template="chatml", max_length=64)
    ids = torch.tensor([tokenizer("colour of the star")["input_ids"]])
    with torch.no_grad():
        assert torch.equal(language.network.eval()(ids).logits, network(ids).logits)
    assert language.width == 32
    assert language.image_token_id == len(tokenizer)
    assert language.tokenizer.pad_token_id is not None


def test_a_folder_without_a_model_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="give a local folder or a hub name"):
        load_pretrained(str(tmp_path), template="chatml", max_length=64)


@pytest.mark.parametrize("build", [load_pretrained, build_from_architecture, build_tiny_llama])
def test_every_chat_template_can_be_chosen(build: Callable[..., LanguageModel]) -> None:
    """The config is checked against these annotations."""
    assert set(get_args(get_type_hints(build)["template"])) == set(TEMPLATES)
