"""What the rest of eaglebench knows of a language model: a transformers causal LM, its tokenizer, and a few numbers."""

from dataclasses import dataclass

from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass
class LanguageModel:
    """A causal language model that is fed embeddings.

    Attributes:
        network: any transformers causal LM.
        tokenizer: its tokenizer, with a pad and an end token.
        template: name of the chat template (`data/conversation.py`).
        max_length: tokens of text and image that a sample may have.
    """

    network: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    template: str
    max_length: int

    @property
    def width(self) -> int:
        """D, the size of an embedding."""
        return int(self.network.get_input_embeddings().weight.shape[1])

    @property
    def image_token_id(self) -> int:
        """Marks where visual tokens go: one past the vocabulary, so that no text can produce it."""
        return max(len(self.tokenizer), int(self.network.get_input_embeddings().weight.shape[0]))
