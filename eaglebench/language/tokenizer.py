"""The tiny language model's tokenizer: byte-level BPE that knows the words of the synthetic world.

It can encode any text: bytes that no merge covers stay single bytes. Each digit is a token. The file
`tiny_tokenizer.json` beside this module is the output of `python -m eaglebench.language.tokenizer`; using it trains and
downloads nothing.
"""

from pathlib import Path
from random import Random

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

FILE = Path(__file__).parent / "tiny_tokenizer.json"
USER, ASSISTANT, END, PAD = "<|user|>", "<|assistant|>", "<|end|>", "<|pad|>"
VOCABULARY = 512


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """The tokenizer that ships with the package. In a text, its control tokens are characters like any others."""
    return PreTrainedTokenizerFast(tokenizer_file=str(FILE), eos_token=END, pad_token=PAD, split_special_tokens=True)


def train_tokenizer() -> Tokenizer:
    """Learn the merges from questions and answers of the synthetic world."""
    from eaglebench.data.synthetic.engine import KINDS

    corpus = []
    for index in range(400):
        for kind, draw in KINDS.items():
            for question in draw(Random(f"tokenizer {kind} {index}"), 64).questions:
                corpus.append(question.text)
                corpus.append(question.answer)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[PAD, USER, ASSISTANT, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus, trainer)
    return tokenizer


if __name__ == "__main__":
    train_tokenizer().save(str(FILE))
