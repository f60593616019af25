"""Validation during training: loss and score on a few held-out samples."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

import torch

from eaglebench.data.collate import Collator, ConversationDataset
from eaglebench.data.images import ImageReader
from eaglebench.data.sample import Sample
from eaglebench.evaluation.evaluation_settings import EvaluationSettings
from eaglebench.evaluation.generation import build_generator
from eaglebench.evaluation.questions import list_questions
from eaglebench.language.base import LanguageModel
from eaglebench.model.eagle import EagleModel, build_encoder


@dataclass(frozen=True)
class Validator:
    """Measures a model that is being trained on held-out samples.

    Attributes:
        samples: the held-out samples.
        settings: how answers are generated and scored.
        read_images: gives the image reader for a side in pixels.
    """

    samples: Sequence[Sample]
    settings: EvaluationSettings
    read_images: Callable[[int], ImageReader]

    @torch.no_grad()
    def __call__(self, model: EagleModel, language: LanguageModel, device: torch.device) -> dict[str, float]:
        """The mean loss over target tokens, and the mean score of the generated answers.

        The model stays in evaluation mode. The loss is left out if no sample has a target within the language model's
        maximum length.

        Raises:
            UserError: an image cannot be read, or transformers refuses the options of generation.
        """
        encoder = build_encoder(model, language)
        read = self.read_images(model.image_side)
        dataset = ConversationDataset([sample for sample in self.samples if encoder.has_target(sample)], encoder, read)
        collate = Collator(language.tokenizer.pad_token_id)
        model.eval()
        total, targets = 0.0, 0
        for start in range(0, len(dataset), self.settings.batch_size):
            indices = range(start, min(start + self.settings.batch_size, len(dataset)))
            count = sum(map(dataset.count_targets, indices))
            total += float(model(collate([dataset[index] for index in indices]).to(device))) * count
            targets += count
        questions = list_questions(self.samples)
        answers = list(build_generator(model, language, read, self.settings, device).answer(questions))
        scores = self.settings.scoring.score_all(questions, answers)
        loss = {"validation loss": total / targets} if targets else {}
        return {**loss, "validation score": fmean(scores)}


def take_evenly(samples: Sequence[Sample], count: int) -> list[Sample]:
    """`count` samples at equal distances, so that every family is among them where families lie one after the other."""
    count = min(count, len(samples))
    return [samples[index * len(samples) // count] for index in range(count)]
