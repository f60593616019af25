"""Language models from a hub name or a local folder."""

from transformers import AutoModelForCausalLM, AutoTokenizer

from eaglebench.errors import UserError, first_line
from eaglebench.language.base import LanguageModel


def pretrained(model: str, template: str, max_length: int, dtype: str = "float32") -> LanguageModel:
    """Any transformers causal LM with its tokenizer.

    A tokenizer without a pad token pads with its unknown token, as Vicuna does, or else with its end token: padding is never
    attended to and never a target.

    Raises:
        UserError: the folder or name gives no model.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(model)
        network = AutoModelForCausalLM.from_pretrained(model, dtype=dtype, attn_implementation="sdpa")
    except (OSError, ValueError) as error:
        raise UserError(
            f"llm.model={model} cannot be loaded ({first_line(error)}): give a local folder or a hub name."
        ) from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.unk_token or tokenizer.eos_token
    return LanguageModel(network, tokenizer, template, max_length)
