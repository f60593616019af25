"""A look at held-out questions while a model is trained."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

import torch

from eaglebench.data.collate import Collator, ConversationDataset
from eaglebench.data.images import ImageReader
from eaglebench.data.sample import Sample
from eaglebench.evaluation.evaluate import Settings, answerer_of
from eaglebench.evaluation.generation import questions
from eaglebench.language.base import LanguageModel
from eaglebench.model.eagle import EagleModel, encoder_of


@dataclass(frozen=True)
class Look:
    """Called with a model, its language model and a device, gives its held-out loss and the score of the answers that it generates.

    Attributes:
        samples: held-out ones; those of all families, evenly.
        settings: how answers are made and scored.
        reader: gives what reads images at a side.
    """

    samples: Sequence[Sample]
    settings: Settings
    reader: Callable[[int], ImageReader]

    @torch.no_grad()
    def __call__(self, model: EagleModel, language: LanguageModel, device: torch.device) -> dict[str, float]:
        encoder = encoder_of(model, language)
        read = self.reader(model.image_side)
        dataset = ConversationDataset([sample for sample in self.samples if encoder.has_target(sample)], encoder, read)
        collate = Collator(language.tokenizer.pad_token_id)
        model.eval()
        total, targets = 0.0, 0
        for start in range(0, len(dataset), self.settings.batch_size):
            some = range(start, min(start + self.settings.batch_size, len(dataset)))
            count = sum(map(dataset.targets, some))
            total += float(model(collate([dataset[index] for index in some]).to(device))) * count
            targets += count
        asked = questions(self.samples)
        answers = list(answerer_of(model, language, read, self.settings, device).answers(asked))
        scores = self.settings.scoring.scores(asked, answers)
        found = {"held-out loss": total / targets} if targets else {}
        return {**found, "held-out score": fmean(scores)}


def evenly(samples: Sequence[Sample], count: int) -> list[Sample]:
    """So many samples at even distances: all families, where they lie one after the other."""
    count = min(count, len(samples))
    return [samples[index * len(samples) // count] for index in range(count)]
