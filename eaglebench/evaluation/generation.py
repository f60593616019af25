"""Generated answers to the questions of a data set."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from eaglebench.data.collate import Collator, read_sample_image
from eaglebench.data.conversation import ConversationEncoder
from eaglebench.evaluation.answer_room import AnswerLimits
from eaglebench.evaluation.evaluation_settings import EvaluationSettings
from eaglebench.evaluation.questions import EvalQuestion
from eaglebench.language.base import LanguageModel
from eaglebench.model.eagle import EagleModel, build_encoder
from eaglebench.utils.errors import UserError, first_line
from eaglebench.utils.hashing import named_seed


class AnswerGenerator:
    """Answers questions with a model, in batches.

    Args:
        model: moved to `device` and put into evaluation mode.
        encoder: makes token ids of conversations.
        tokenizer: of the model's language model.
        read_image: gives the image of a path as uint8 [3, S, S], S being the model's side in pixels; never called for a
            model without experts.
        device: where answers are generated.
        batch_size: questions that are answered at once.
        limits: how long answers may become.
        options: of transformers' `generate` (`num_beams`, `do_sample`, `temperature` ...); greedy decoding if None or
            empty.
        seed: of sampled answers.
    """

    def __init__(
        self,
        model: EagleModel,
        encoder: ConversationEncoder,
        tokenizer: PreTrainedTokenizerBase,
        read_image: Callable[[Path], Tensor],
        *,
        device: torch.device | str,
        batch_size: int,
        limits: AnswerLimits,
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
        self.limits = limits
        self.options = options or {}
        self.seed = seed

    def fit(self, questions: Sequence[EvalQuestion]) -> list[int]:
        """The most new tokens of the answer to each question, all within the context.

        Raises:
            UserError: some prompts leave too little room.
        """
        return self.limits.fit(questions, self.encoder)

    def answer(
        self, questions: Sequence[EvalQuestion], skip: int = 0, most: Sequence[int] | None = None
    ) -> Iterator[str]:
        """Yield an answer to each question but the first `skip` ones, in their order.

        Batches are formed as if nothing were skipped: the other questions of a batch can change the last digits of the
        logits.

        Args:
            most: most new tokens of each answer, if `fit` was called before.

        Raises:
            UserError: some questions do not fit in the context, which is found before any is answered; transformers
                refuses the options, or an image cannot be read.
        """
        limits = self.fit(questions) if most is None else most
        for limit, same_limit in groupby(zip(limits, questions, strict=True), itemgetter(0)):
            for batch in split_batches((question for _, question in same_limit), self.batch_size):
                if skip < len(batch):
                    yield from self.answer_batch(batch, limit)[skip:]
                skip = max(0, skip - len(batch))

    # Not inference_mode: tensors that a fusion caches for the next batch may be used in training.
    @torch.no_grad()
    def answer_batch(self, questions: Sequence[EvalQuestion], limit: int) -> list[str]:
        """The answers to one batch of questions, each of at most `limit` tokens.

        Raises:
            UserError: transformers refuses the options, or an image cannot be read.
        """
        prompts = [self.encoder.encode_prompt(question.sample, question.turn) for question in questions]
        images = [read_sample_image(question.sample, self.read_image) for question in questions]
        batch = self.collator.collate_prompts(prompts, images, [question.sample.id for question in questions])
        with torch.random.fork_rng():
            # A seed for each batch: a resumed evaluation samples what an uninterrupted one would.
            torch.manual_seed(named_seed(self.seed, f"{questions[0].sample.id} {questions[0].turn}"))
            try:
                options = {**self.stop_options, **self.options}
                tokens = self.model.generate(batch.to(self.device), limit, self.encoder.end_ids, **options)
            except (ValueError, TypeError) as error:
                if not self.options:
                    raise
                raise UserError(
                    f"evaluation.generate={dict(self.options)} cannot be used: {first_line(error)}"
                ) from error
        return [self.encoder.decode_answer(row) for row in tokens.tolist()]

    @property
    def stop_options(self) -> dict[str, Any]:
        """transformers' options that stop at the template's end where that is no token of the tokenizer."""
        end = self.encoder.end_text
        return {} if end is None else {"stop_strings": [end], "tokenizer": self.tokenizer}


def split_batches(questions: Iterable[EvalQuestion], size: int) -> Iterator[list[EvalQuestion]]:
    """Yield `size` questions at a time; the last batch may be smaller."""
    remaining = iter(questions)
    while batch := list(islice(remaining, size)):
        yield batch


def build_generator(
    model: EagleModel,
    language: LanguageModel,
    read_image: Callable[[Path], Tensor],
    settings: EvaluationSettings,
    device: torch.device | str,
) -> AnswerGenerator:
    """An `AnswerGenerator` for a model and its language model, with the batch size and token limits of the settings."""
    return AnswerGenerator(
        model,
        build_encoder(model, language),
        language.tokenizer,
        read_image,
        device=device,
        batch_size=settings.batch_size,
        limits=settings.limits,
        options=settings.generate,
        seed=settings.seed,
    )
