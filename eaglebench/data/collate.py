"""Samples to batches."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, Self

import torch
from torch import Tensor
from torch.utils.data import Dataset

from eaglebench.data.conversation import IGNORE, Encoded
from eaglebench.data.sample import Sample
from eaglebench.data.unreadable import name_unreadable


@dataclass
class Batch:
    """B conversations of up to T tokens, and the images of those that have one.

    Attributes:
        input_ids: token ids [B, T]; the image token marks the positions of visual tokens.
        attention_mask: [B, T], 1 for tokens and 0 for padding.
        labels: [B, T], the token to predict at its own position, or `IGNORE`; None in a batch of prompts.
        images: uint8 [I, 3, S, S] of the I <= B samples with an image, in their order; None if there is none. What an
            image was encoded to before takes its place: its number in a model's features, or visual tokens [I, N, D].
        ids: ids of the B samples.
        cut: those of samples that are longer than the context.
    """

    input_ids: Tensor
    attention_mask: Tensor
    labels: Tensor | None
    images: Tensor | None
    ids: tuple[str, ...]
    cut: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)

    def to(self, device: torch.device | str) -> Self:
        """Return the batch with its tensors on a device."""
        moved = {
            name: value.to(device, non_blocking=True)
            for name in ("input_ids", "attention_mask", "labels", "images")
            if (value := getattr(self, name)) is not None
        }
        return replace(self, **moved)


@dataclass(frozen=True)
class Item:
    """One encoded sample with its image, uint8 [3, S, S]; None without an image."""

    id: str
    encoded: Encoded
    image: Tensor | None


class SampleEncoder(Protocol):
    """Gives what a sample is to a model: the ids that it reads, and those that it should predict."""

    def encode(self, sample: Sample) -> Encoded:
        """The ids and labels of a sample."""


class ConversationDataset(Dataset[Item]):
    """Training items of a list of samples. Token ids are cached; images as far as `read_image` caches them.

    Args:
        samples: the samples.
        encoder: encodes their conversations, or what takes their place.
        read_image: loads an image file as uint8 [3, S, S].
        blind: leave the images out of the conversations.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        encoder: SampleEncoder,
        read_image: Callable[[Path], Tensor],
        blind: bool = False,
    ) -> None:
        self.samples = [replace(sample, image=None) for sample in samples] if blind else list(samples)
        self.encoder = encoder
        self.read_image = read_image
        self._encoded: dict[int, Encoded] = {}

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Item:
        sample = self.samples[index]
        return Item(sample.id, self.encode(index), read_sample_image(sample, self.read_image))

    @property
    def lengths(self) -> list[int]:
        """Letters of each sample's conversation: without a tokenizer, as good as its tokens to sort by."""
        return [sum(len(turn.question) + len(turn.answer) for turn in sample.turns) for sample in self.samples]

    def encode(self, index: int) -> Encoded:
        """Token ids and labels of the sample at `index`.

        Raises:
            UserError: it has no target within the context length.
        """
        if index not in self._encoded:
            self._encoded[index] = self.encoder.encode(self.samples[index])
        return self._encoded[index]

    def count_targets(self, index: int) -> int:
        """Number of predicted tokens of the sample at `index`; the first token is never predicted.

        Raises:
            UserError: it has no target within the context length.
        """
        return sum(label != IGNORE for label in self.encode(index).labels[1:])


def read_sample_image(sample: Sample, read_image: Callable[[Path], Tensor]) -> Tensor | None:
    """Load the image of a sample; None if it has none.

    Raises:
        UserError: the image cannot be read; it is never replaced by a black one.
    """
    if sample.image is None:
        return None
    with name_unreadable(f"sample {sample.id}: its image {sample.image}"):
        return read_image(sample.image)


class Collator:
    """Pads items into a `Batch`: training conversations on the right, prompts on the left."""

    def __init__(self, pad_token_id: int) -> None:
        self.pad_token_id = pad_token_id

    def __call__(self, items: Sequence[Item]) -> Batch:
        return Batch(
            input_ids=self.pad([item.encoded.input_ids for item in items], self.pad_token_id),
            attention_mask=self.pad([(1,) * len(item.encoded.input_ids) for item in items], 0),
            labels=self.pad([item.encoded.labels for item in items], IGNORE),
            images=stack_images([item.image for item in items]),
            ids=tuple(item.id for item in items),
            cut=tuple(item.id for item in items if item.encoded.is_cut),
        )

    def collate_prompts(
        self, prompts: Sequence[Sequence[int]], images: Sequence[Tensor | None], ids: Sequence[str]
    ) -> Batch:
        """Collate prompts into a batch to generate from.

        Args:
            prompts: token ids of each prompt.
            images: uint8 [3, S, S] of each prompt; None for those without an image.
            ids: ids of their samples.
        """
        return Batch(
            input_ids=self.pad(prompts, self.pad_token_id, left=True),
            attention_mask=self.pad([(1,) * len(prompt) for prompt in prompts], 0, left=True),
            labels=None,
            images=stack_images(images),
            ids=tuple(ids),
        )

    @staticmethod
    def pad(rows: Sequence[Sequence[int]], value: int, left: bool = False) -> Tensor:
        """Pad rows of different lengths to one tensor [B, T], on the right or on the left."""
        side = "left" if left else "right"
        tensors = [torch.tensor(row) for row in rows]
        return torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True, padding_value=value, padding_side=side)


def stack_images(images: Sequence[Tensor | None]) -> Tensor | None:
    """Stack the images that are not None to [I, 3, S, S]; None if there are none."""
    present = [image for image in images if image is not None]
    return torch.stack(present) if present else None
