"""Control tokens: a chat template writes them, and no text of the data ever does."""

import json
import re
import secrets
from collections.abc import Mapping
from functools import lru_cache

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase

from eaglebench.utils.errors import UserError

SECRET = secrets.token_hex(8)  # of this process: in the names of control tokens, so that no text can contain one


class ControlTokens:
    """Tokenizes text in which control tokens count only where they are marked.

    It uses a copy of the tokenizer that knows the control tokens under secret names. The template's own are marked with
    these names; the same characters in a question are text like any other. Everything else, such as what SentencePiece
    makes of a space after a control token, is as in the original tokenizer.

    Control tokens are the special tokens of the tokenizer, and other added tokens that are in the template.

    Args:
        tokenizer: the language model's tokenizer.
        template_text: the text that a chat template writes around questions and answers.

    Raises:
        UserError: the tokenizer is written in Python, without a backend of the tokenizers library.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, template_text: str) -> None:
        if not tokenizer.is_fast:
            raise UserError(
                f"the tokenizer {type(tokenizer).__name__} is written in Python: give the language model a "
                "tokenizer.json of the tokenizers library."
            )
        self.ids = {
            token.content: index
            for index, token in tokenizer.added_tokens_decoder.items()
            # Added line breaks and the like are ordinary text, in templates too.
            if token.special or (token.content in template_text and not token.content.isspace())
        }
        self.names = {content: f"<{SECRET}-{index}>" for content, index in self.ids.items()}
        # The longest first, as the tokenizer matches them; a pattern without alternatives would match everywhere.
        longest = sorted(map(re.escape, self.ids), key=len, reverse=True)
        self._pattern = re.compile("|".join(longest) or r"(?!)")
        self._tokenizer = rename_tokens(tokenizer, tuple(self.names.items()))

    def mark(self, text: str) -> str:
        """A template's text with its control tokens marked."""
        return self._pattern.sub(lambda match: self.names[match[0]], text)

    def first_id(self, text: str) -> int | None:
        """The id of the control token that a template's text begins with; None if it begins with other text."""
        match = self._pattern.match(text)
        return None if match is None else self.ids[match[0]]

    def encode(self, text: str) -> tuple[list[int], list[int]]:
        """The token ids of a text, and the index of the character at which each token starts."""
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        return encoding.ids, [start for start, _ in encoding.offsets]


@lru_cache(maxsize=8)  # validation and every stage ask for the same copy, which takes a second for a large vocabulary
def rename_tokens(tokenizer: PreTrainedTokenizerBase, names: tuple[tuple[str, str], ...]) -> Tokenizer:
    """A copy of a tokenizer's backend in which tokens have other names and the same ids, and no text is trimmed."""
    new = dict(names)
    described = json.loads(tokenizer.backend_tokenizer.to_str())
    for token in described["added_tokens"]:
        token["content"] = new.get(token["content"], token["content"])
    described["model"] = rename_pieces(described["model"], new)
    # They add special tokens, trim the offsets of spaces, and cut or fill texts.
    described |= {"post_processor": None, "truncation": None, "padding": None}
    return Tokenizer.from_str(json.dumps(described))


def rename_pieces(model: Mapping[str, object], new: Mapping[str, str]) -> dict[str, object]:
    """The description of a tokenizer's model in which pieces have other names, and no merge gives their old ones.

    A vocabulary converted from SentencePiece may hold `</s>` as a piece that is found, or merged, in plain text.
    """
    renamed = dict(model)
    vocabulary = model["vocab"]
    if isinstance(vocabulary, dict):
        renamed["vocab"] = {new.get(piece, piece): index for piece, index in vocabulary.items()}
    elif isinstance(vocabulary, list):  # of a unigram model: pairs of piece and score
        renamed["vocab"] = [[new.get(piece, piece), score] for piece, score in vocabulary]
    if isinstance(merges := model.get("merges"), list):
        renamed["merges"] = [pair for pair in merges if not {*pair, "".join(pair)} & new.keys()]
    if isinstance(unknown := model.get("unk_token"), str):
        renamed["unk_token"] = new.get(unknown, unknown)
    return renamed
