"""Models of transformers with all of their weights, or not at all: transformers itself fills gaps at random."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers.utils import logging

from eaglebench.utils.errors import UserError
from eaglebench.weights.hub import explain_hub_error
from eaglebench.weights.misfits import find_not_floating, is_finite, raise_misfits
from eaglebench.weights.sources import read_checkpoint
from eaglebench.weights.wrappers import strip_wrappers

# What transformers raises for folders that are missing, incomplete or damaged.
LOADING_ERRORS = (
    OSError,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    RuntimeError,
    EOFError,
    IndexError,
    SafetensorError,
    StrictDataclassError,
    UnpicklingError,
)
COMPUTED = re.compile(r"(.*\.)?rotary_emb\.inv_freq")  # that older checkpoints hold, and every version computes


def load_transformers(
    auto: Any, where: str, wanted_by: str, part: str | None = None, heads: Sequence[str] = (), **options: Any
) -> Any:
    """A model of transformers with the weights of a checkpoint; what wrappers put into its keys is taken off.

    Args:
        auto: the class that loads it: `AutoModelForCausalLM`.
        where: a folder or a hub name; with a `config` in the options also a file.
        wanted_by: the part that needs the weights, as errors name it: `llm`.
        part: the submodule that is used, if the model has it; weights of others may be missing or unexpected.
        heads: children of what is used whose weights may be missing: they play no part.
        options: of `from_pretrained`.

    Raises:
        UserError: weights are missing, unexpected, wrongly shaped, whole numbers, or not finite; all are named.
    """
    options |= {"output_loading_info": True, "ignore_mismatched_sizes": True}
    weights: Mapping[str, Tensor] = {}
    with quiet_transformers():
        if Path(where).is_file():
            weights = read_checkpoint(where, wanted_by)
            empty = auto.from_config(options["config"])
            stripped: Mapping[str, Tensor] = strip_wrappers(weights, empty.state_dict().keys())
            model, info = type(empty).from_pretrained(None, state_dict=stripped, **options)
        else:
            model, info = auto.from_pretrained(where, **options)
            with suppress(UserError):  # of adapters, and of other formats that only transformers reads
                weights = read_checkpoint(where, wanted_by)
            is_whole = not info["missing_keys"] and not info["mismatched_keys"]
            stripped = weights if is_whole else strip_wrappers(weights, model.state_dict().keys())
            if stripped.keys() != weights.keys():
                kind, options["config"] = type(model), model.config
                del model  # there is room for one
                model, info = kind.from_pretrained(None, state_dict=stripped, **options)
    network = getattr(model, part or "", model)
    prefix = f"{part}." if network is not model else ""
    misfits = {
        "missing": [
            key
            for key in info["missing_keys"]
            if key.startswith(prefix) and key.removeprefix(prefix).split(".")[0] not in heads
        ],
        "unexpected": [
            key for key in info["unexpected_keys"] if is_of_part(key, prefix, network, part) and not COMPUTED.match(key)
        ],
        "wrongly shaped": [
            f"{key} {tuple(found)} for {tuple(shape)}"
            for key, found, shape in info["mismatched_keys"]
            if key.startswith(prefix)
        ],
        "not of floating point": [] if is_quantized(model, options) else find_whole_numbers(stripped, model),
        "not finite": [
            name for name, tensor in network.named_parameters(prefix=part if prefix else "") if not is_finite(tensor)
        ],
    }
    raise_misfits(misfits, f"the checkpoint {where} of {wanted_by}")
    return model


def is_of_part(key: str, prefix: str, network: nn.Module, part: str | None) -> bool:
    """Whether an unexpected weight would change what is used: any, unless only one `part` of a model is."""
    children = {name for name, _ in network.named_children()}
    return part is None or (key.startswith(prefix) and key.removeprefix(prefix).split(".")[0] in children)


def is_quantized(model: Any, options: Mapping[str, Any]) -> bool:
    """Whether the checkpoint itself is quantized: its weights are whole numbers then."""
    return getattr(model.config, "quantization_config", None) is not None and not options.get("quantization_config")


def find_whole_numbers(weights: Mapping[str, Tensor], model: nn.Module) -> list[str]:
    """Keys and types of weights that are whole numbers or booleans. Masks, which older models hold, are no weights."""
    own = model.state_dict()
    return find_not_floating(
        {key: tensor for key, tensor in weights.items() if key in own or key.endswith(".weight")}, own
    )


@contextmanager
def transformers_errors(what: str) -> Iterator[None]:
    """A context that turns transformers' loading errors into a UserError that begins with `what`."""
    try:
        yield
    except LOADING_ERRORS as error:
        raise UserError(f"{what} ({explain_hub_error(error)}): give a local folder or a hub name.") from error


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """A context in which transformers does not print its own report of what is missing: an error says it here."""
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)
