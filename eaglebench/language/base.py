"""What the rest of eaglebench knows of a language model: a transformers causal LM, its tokenizer and its sizes."""

from dataclasses import dataclass, field

from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from eaglebench.utils.errors import UserError


@dataclass
class LanguageModel:
    """A causal language model that takes embeddings as its input.

    Attributes:
        network: a transformers causal LM.
        tokenizer: its tokenizer, with a pad token and an end token.
        template: name of its chat template in `eaglebench.data.conversation.TEMPLATES`.
        max_length: T, the context length in tokens, visual tokens included.
        places: vectors [D, K, K] of the places of an image, where it was pretrained with some; None: it was not.
        width: D, the embedding width.
        image_token_id: the id that marks positions of visual tokens: the first one past the vocabulary, so that no text
            produces it.
    """

    network: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    template: str
    max_length: int
    places: Tensor | None = None
    width: int = field(init=False)
    image_token_id: int = field(init=False)

    def __post_init__(self) -> None:
        # Read once: where a strategy shards the weights, the local tensors have other shapes.
        entries, self.width = map(int, self.network.get_input_embeddings().weight.shape)
        self.image_token_id = max(len(self.tokenizer), entries)

    def check_positions(self) -> None:
        """Check that the network was made for `max_length` positions: past them, its answers are noise.

        Positions that are scaled beyond the config's number are not checked.

        Raises:
            UserError: it was made for fewer.
        """
        config = self.network.config
        positions = getattr(config, "max_position_embeddings", None)
        scaling = (getattr(config, "rope_parameters", None) or {}).get("rope_type", "default")
        if isinstance(positions, int) and scaling in ("default", "llama3") and self.max_length > positions:
            raise UserError(
                f"llm.max_length={self.max_length} is more than the {positions} positions that the language model was "
                f"made for: set llm.max_length={positions} or less."
            )


def decoder_blocks(network: PreTrainedModel) -> list[nn.Module]:
    """The repeated blocks of a language model, in order: the units of activation checkpointing and of sharding."""
    kinds = set(network._no_split_modules or ())
    return [module for module in network.modules() if type(module).__name__ in kinds]
