"""What the rest of eaglebench knows of a language model: a transformers causal LM, its tokenizer and its sizes."""

from dataclasses import dataclass, field

from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass
class LanguageModel:
    """A causal language model that takes embeddings as its input.

    Attributes:
        network: a transformers causal LM.
        tokenizer: its tokenizer, with a pad token and an end token.
        template: name of its chat template in `eaglebench.data.conversation.TEMPLATES`.
        max_length: T, the context length in tokens, visual tokens included.
        width: D, the embedding width.
        image_token_id: the id that marks positions of visual tokens: the first one past the vocabulary, so that no text
            produces it.
    """

    network: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    template: str
    max_length: int
    width: int = field(init=False)
    image_token_id: int = field(init=False)

    def __post_init__(self) -> None:
        # Read once: where a strategy shards the weights, the local tensors have other shapes.
        entries, self.width = map(int, self.network.get_input_embeddings().weight.shape)
        self.image_token_id = max(len(self.tokenizer), entries)


def decoder_blocks(network: PreTrainedModel) -> list[nn.Module]:
    """The repeated blocks of a language model, in order: the units of activation checkpointing and of sharding."""
    kinds = set(network._no_split_modules or ())
    return [module for module in network.modules() if type(module).__name__ in kinds]
