"""Generating answers to the questions of a data set."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from eaglebench.data.collate import Collator, read
from eaglebench.data.conversation import Encoder
from eaglebench.data.sample import Sample
from eaglebench.model.eagle import EagleModel
from eaglebench.utils.errors import UserError, first_line
from eaglebench.utils.hashing import named_seed


@dataclass(frozen=True)
class Question:
    """One turn of a sample to be answered, after its earlier turns with their reference answers."""

    sample: Sample
    turn: int

    @property
    def family(self) -> str:
        return self.sample.turns[self.turn].family or "all"

    @property
    def reference(self) -> str:
        return self.sample.turns[self.turn].answer

    @property
    def references(self) -> tuple[str, ...]:
        """All answers that count."""
        return self.sample.turns[self.turn].references or (self.reference,)

    @property
    def unit(self) -> str:
        """What is drawn together with it when questions are drawn: those about the same image."""
        return str(self.sample.image or self.sample.id)

    @property
    def meta(self) -> Mapping[str, Any]:
        """What scoring a benchmark needs besides."""
        return {**self.sample.turns[self.turn].meta, "image": self.unit}


def questions(samples: Sequence[Sample]) -> list[Question]:
    """Every turn of every sample."""
    return [Question(sample, turn) for sample in samples for turn in range(len(sample.turns))]


def batched(asked: Iterable[Question], size: int) -> Iterator[list[Question]]:
    """So many questions at a time."""
    left = iter(asked)
    while batch := list(islice(left, size)):
        yield batch


class Answerer:
    """Answers questions, in batches.

    Args:
        model: in whatever state it is; put into evaluation mode.
        encoder, tokenizer: of its language model.
        read_image: gives the image of a path at the model's side; unused by a blind model.
        max_new_tokens: of an answer.
        lengths: instead, by family.
        options: of transformers' generation (`num_beams`, `do_sample`, `temperature` ...); None: greedy.
        seed: of what is drawn.
    """

    def __init__(
        self,
        model: EagleModel,
        encoder: Encoder,
        tokenizer: PreTrainedTokenizerBase,
        read_image: Callable[[Path], Tensor],
        *,
        device: torch.device | str,
        batch_size: int,
        max_new_tokens: int,
        lengths: Mapping[str, int] | None = None,
        options: Mapping[str, Any] | None = None,
        seed: int = 0,
    ) -> None:
        self.model = model.to(device).eval()
        self.encoder = encoder
        self.tokenizer = tokenizer
        self.read_image = read_image
        self.collator = Collator(tokenizer.pad_token_id)
        self.device = device
        self.batch_size = batch_size
        self.max_new_tokens = max_new_tokens
        self.lengths = lengths or {}
        self.options = options or {}
        self.seed = seed

    def answers(self, asked: Sequence[Question], known: int = 0) -> Iterator[str]:
        """An answer to each question after the first `known` ones, in their order.

        Batches are cut as if none were known: what stands beside a question can change the last digits of its scores.
        """
        for _, run in groupby(asked, self.length):
            for batch in batched(run, self.batch_size):
                if known < len(batch):
                    yield from self.batch(batch)[known:]
                known = max(0, known - len(batch))

    def length(self, question: Question) -> int:
        """The most new tokens of an answer."""
        return self.lengths.get(question.family, self.max_new_tokens)

    # Not inference_mode: what a fusion keeps for the next batch may be used in training.
    @torch.no_grad()
    def batch(self, asked: Sequence[Question]) -> list[str]:
        """Answers to one batch of questions, all of one length.

        Raises:
            UserError: transformers refuses the options.
        """
        prompts = [self.encoder.prompt(question.sample, question.turn) for question in asked]
        images = [read(question.sample, self.read_image) for question in asked]
        batch = self.collator.prompts(prompts, images, [question.sample.id for question in asked])
        with torch.random.fork_rng():
            # Of the batch, not of those before it: an evaluation that goes on draws what an unbroken one would.
            torch.manual_seed(named_seed(self.seed, f"{asked[0].sample.id} {asked[0].turn}"))
            try:
                tokens = self.model.generate(batch.to(self.device), self.length(asked[0]), **self.options)
            except (ValueError, TypeError) as error:
                if not self.options:
                    raise
                raise UserError(
                    f"evaluation.generate={dict(self.options)} cannot be used: {first_line(error)}"
                ) from error
        return [text.strip() for text in self.tokenizer.batch_decode(tokens, skip_special_tokens=True)]
