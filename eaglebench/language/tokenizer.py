"""The tiny language model's tokenizer: byte-level BPE that knows the words of the synthetic world.

Each word of that world is one token, with the space before it or without; so is each place of a board, such as `b3`,
and each digit. It can encode any text: bytes that no merge covers stay single bytes. The file `tiny_tokenizer.json`
beside this module is the output of `python -m eaglebench.language.tokenizer`; using it trains and downloads nothing.
"""

import json
import re
from pathlib import Path
from random import Random

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

FILE = Path(__file__).parent / "tiny_tokenizer.json"
USER, ASSISTANT, END, PAD = "<|user|>", "<|assistant|>", "<|end|>", "<|pad|>"
SCENES = 100  # of each kind, whose words are learned
SPACE = "\u0120"  # how a byte-level vocabulary writes a space
# A place, a word, a digit, other signs (the first two and the last with the space before them), or blanks.
PIECES = r" ?[a-d][1-4](?![\p{L}\p{N}])| ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s"


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """The tokenizer that ships with the package. In a text, its control tokens are characters like any others."""
    return PreTrainedTokenizerFast(tokenizer_file=str(FILE), eos_token=END, pad_token=PAD, split_special_tokens=True)


def word_id(tokenizer: PreTrainedTokenizerBase, word: str) -> int:
    """The token of a word of the synthetic world, or of a digit, as it stands within a text.

    Questions name things in the middle of a text, so a word has the space before it. With the token that begins a text
    in the slots of the pretext task, the language model learns late that both are one word.
    """
    (token,) = tokenizer(word if word.isdigit() else f" {word}", add_special_tokens=False)["input_ids"]
    return int(token)


def train_tokenizer() -> Tokenizer:
    """Learn the merges that make each word of the synthetic world one token."""
    words = sorted(collect_words())
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=len(words) * max(map(len, words)) + 1000,  # never reached: merging ends when each word is one token
        special_tokens=[PAD, USER, ASSISTANT, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(words, trainer)
    # A space joins a finished word last: so a word costs one more token, instead of merges of its own with a space.
    learned = json.loads(tokenizer.to_str())
    for word in words:
        learned["model"]["vocab"][SPACE + word] = len(learned["model"]["vocab"])
        learned["model"]["merges"].append([SPACE, word])
    return Tokenizer.from_str(json.dumps(learned))


def collect_words() -> set[str]:
    """The words and places in the questions, answers and transcriptions of the synthetic world."""
    from eaglebench.data.synthetic.engine import KINDS
    from eaglebench.data.synthetic.transcription import write_transcription

    texts = []
    for index in range(SCENES):
        for kind, draw in KINDS.items():
            scene = draw(Random(f"tokenizer {kind} {index}"), 64)
            texts.append(write_transcription(scene))
            texts += [text for question in scene.questions for text in (question.text, question.answer)]
    return {word for text in texts for word in re.findall("[a-d][1-4]|[A-Za-z]+", text)}


if __name__ == "__main__":
    train_tokenizer().save(str(FILE))
