"""The places of an image, as a language model of the synthetic world knows them.

Shape letters: D width of the language model, K side of the board.
"""

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from eaglebench.data.synthetic.shapes import PLACES, SIDE


def embed_places(network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, offsets_DKK: Tensor) -> Tensor:
    """The vectors [D, K, K] of places: the embedding of the name of the board's cell, such as `a1`, and an offset.

    Since the name is in the vector, to say where something is needs no more than to look it up. With vectors of their
    own, the model learns that late.

    Args:
        network: the language model.
        tokenizer: knows each name as one token.
        offsets_DKK: learned.
    """
    ids = torch.tensor(tokenizer.convert_tokens_to_ids(PLACES), device=offsets_DKK.device)
    names_ND: Tensor = network.get_input_embeddings()(ids)
    names_DKK: Tensor = names_ND.T.reshape(-1, SIDE, SIDE)
    return names_DKK + offsets_DKK
