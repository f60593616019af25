"""What the rest of eaglebench knows of a language model: a transformers causal LM, its tokenizer, and a few numbers."""

from dataclasses import dataclass, field

from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass
class LanguageModel:
    """A causal language model that is fed embeddings.

    Attributes:
        network: any transformers causal LM.
        tokenizer: its tokenizer, with a pad and an end token.
        template: name of the chat template (`data/conversation.py`).
        max_length: tokens of text and image that a sample may have.
        width: D, the size of an embedding.
        image_token_id: marks where visual tokens go: one past the vocabulary, so that no text can produce it.
    """

    network: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    template: str
    max_length: int
    width: int = field(init=False)
    image_token_id: int = field(init=False)

    def __post_init__(self) -> None:
        # Read once: where a strategy has made shards of the weights, they have no shape.
        entries, self.width = map(int, self.network.get_input_embeddings().weight.shape)
        self.image_token_id = max(len(self.tokenizer), entries)


def repeated(network: PreTrainedModel) -> list[nn.Module]:
    """The repeated blocks of a language model, in order: the units of activation checkpointing and of sharding."""
    kinds = set(network._no_split_modules or ())
    return [module for module in network.modules() if type(module).__name__ in kinds]
