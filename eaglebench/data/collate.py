"""Samples as batches."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import torch
from torch import Tensor
from torch.utils.data import Dataset

from eaglebench.data.conversation import IGNORE, Encoded, Encoder
from eaglebench.data.images import UNREADABLE
from eaglebench.data.sample import Sample
from eaglebench.utils.errors import UserError


@dataclass
class Batch:
    """B conversations of up to T tokens, and the images of those that have one.

    Attributes:
        input_ids: [B, T]; the image token stands where visual tokens go.
        attention_mask: [B, T], 1 for tokens and 0 for padding.
        labels: [B, T], `IGNORE` where nothing is predicted; None in a batch of prompts.
        images: uint8 [I, 3, S, S] of the I <= B samples with an image, in their order; None if there is none.
        ids: the samples' names.
    """

    input_ids: Tensor
    attention_mask: Tensor
    labels: Tensor | None
    images: Tensor | None
    ids: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ids)

    def to(self, device: torch.device | str) -> Self:
        """The batch on `device`."""
        moved = {
            name: value.to(device, non_blocking=True)
            for name in ("input_ids", "attention_mask", "labels", "images")
            if (value := getattr(self, name)) is not None
        }
        return replace(self, **moved)


@dataclass(frozen=True)
class Item:
    """One encoded sample with its image, uint8 [3, S, S]."""

    id: str
    encoded: Encoded
    image: Tensor | None


class ConversationDataset(Dataset[Item]):
    """Training items of a list of samples.

    Tokens are kept after the first use; images as far as `read_image` remembers them. With `blind`, images are left out of the
    conversations.
    """

    def __init__(
        self, samples: Sequence[Sample], encoder: Encoder, read_image: Callable[[Path], Tensor], blind: bool = False
    ) -> None:
        self.samples = [Sample(s.id, None, s.turns) for s in samples] if blind else list(samples)
        self.encoder = encoder
        self.read_image = read_image
        self._encoded: dict[int, Encoded] = {}

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Item:
        sample = self.samples[index]
        return Item(sample.id, self.encoded(index), read(sample, self.read_image))

    def encoded(self, index: int) -> Encoded:
        """The tokens of a sample."""
        if index not in self._encoded:
            self._encoded[index] = self.encoder.training(self.samples[index])
        return self._encoded[index]

    def targets(self, index: int) -> int:
        """How many tokens of a sample are predicted; the first token never is."""
        return sum(label != IGNORE for label in self.encoded(index).labels[1:])


def read(sample: Sample, read_image: Callable[[Path], Tensor]) -> Tensor | None:
    """The sample's image; an unreadable one is an error with its sample's name, never a black image."""
    if sample.image is None:
        return None
    try:
        return read_image(sample.image)
    except UNREADABLE as error:
        raise UserError(f"sample {sample.id}: its image {sample.image} cannot be read ({error}).") from error


class Collator:
    """Pads items into a `Batch`: training conversations on the right, prompts on the left."""

    def __init__(self, pad_token_id: int) -> None:
        self.pad_token_id = pad_token_id

    def __call__(self, items: Sequence[Item]) -> Batch:
        return Batch(
            input_ids=self.padded([item.encoded.input_ids for item in items], self.pad_token_id),
            attention_mask=self.padded([(1,) * len(item.encoded.input_ids) for item in items], 0),
            labels=self.padded([item.encoded.labels for item in items], IGNORE),
            images=stacked([item.image for item in items]),
            ids=tuple(item.id for item in items),
        )

    def prompts(self, prompts: Sequence[Sequence[int]], images: Sequence[Tensor | None], ids: Sequence[str]) -> Batch:
        """A batch to generate answers from."""
        return Batch(
            input_ids=self.padded(prompts, self.pad_token_id, left=True),
            attention_mask=self.padded([(1,) * len(prompt) for prompt in prompts], 0, left=True),
            labels=None,
            images=stacked(images),
            ids=tuple(ids),
        )

    @staticmethod
    def padded(rows: Sequence[Sequence[int]], value: int, left: bool = False) -> Tensor:
        """Rows of different lengths as one [B, T] tensor."""
        side = "left" if left else "right"
        tensors = [torch.tensor(row) for row in rows]
        return torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True, padding_value=value, padding_side=side)


def stacked(images: Sequence[Tensor | None]) -> Tensor | None:
    """The images that are there, as one tensor."""
    there = [image for image in images if image is not None]
    return torch.stack(there) if there else None
