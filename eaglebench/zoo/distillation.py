"""DINOv2's pretext task: agreeing with a slow copy of itself about another view, without labels (arXiv 2304.07193)."""

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from random import Random

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eaglebench.data.synthetic.drawing import COLOURS, Picture
from eaglebench.experts.base import VisionExpert
from eaglebench.fusion.grid import to_tokens
from eaglebench.zoo.detection import CLASSES, class_of
from eaglebench.zoo.pretext import ExpertPretext, Fields, cell_shares, pixels

PROTOTYPES = 256
WIDTH = 128  # of the head
MOMENTUM = 0.99  # of the teacher, a step
STUDENT, TEACHER = 0.1, 0.05  # temperatures
MASKED = 0.4  # of the places that the student does not see
SHIFT = 16  # the other view is moved by the side divided by this, at most
SINKHORN = 3  # iterations
NEIGHBOURS = 5
POOL = 2  # groups of held-out pictures among which neighbours are looked for
COVERED = 0.1  # of a place, from which on it shows a thing


class Distillation(ExpertPretext):
    """A student that sees a picture with places blotted out, and its moving average that sees the whole and another view.

    The student's masked places must match the teacher's places (iBOT), and its pooled map the teacher's of the other view
    (DINO). The teacher's assignments are balanced by Sinkhorn-Knopp, as in DINOv2.
    """

    beside = ("slow_part", "slow_places", "slow_pooled")
    # Among things of one colour: colour alone would be found without any training.
    metric = "share of places in held-out pictures that nearest neighbours of the same colour, in 127 other pictures, name rightly"

    slow_part: VisionExpert

    def __init__(self, part: VisionExpert) -> None:
        super().__init__(part)
        self.places, self.pooled = Prototypes(part.channels), Prototypes(part.channels)
        self.slow_part = copy.deepcopy(part).requires_grad_(False)
        self.slow_places, self.slow_pooled = (
            copy.deepcopy(head).requires_grad_(False) for head in (self.places, self.pooled)
        )

    def item(self, picture: Picture, rng: Random) -> Mapping[str, Tensor]:
        image = pixels(picture)
        side = image.shape[-1]
        reach = side // SHIFT
        shift = [rng.randint(-reach, reach) for _ in range(2)]
        moved = F.pad(image, (reach,) * 4, mode="reflect")[
            :, reach + shift[0] : reach + shift[0] + side, reach + shift[1] : reach + shift[1] + side
        ]
        # Colours are exchanged, as DINO jitters them: what the views agree on is to be more than colour.
        other = moved[rng.sample(range(3), 3)]
        hidden = torch.tensor([[rng.random() < MASKED for _ in range(self.part.grid)] for _ in range(self.part.grid)])
        classes, colours = things(picture, self.part.grid)
        return {"images": image, "others": other, "hidden": hidden, "classes": classes, "colours": colours}

    def forward(self, batch: Fields) -> Tensor:
        self.follow()
        scale = batch.images.shape[-1] // self.part.grid
        hidden = batch.hidden.repeat_interleave(scale, 1).repeat_interleave(scale, 2).unsqueeze(1)
        grey = batch.images.float().mean(dim=(2, 3), keepdim=True).to(torch.uint8)
        seen = to_tokens(self.features(torch.where(hidden, grey, batch.images)))
        with torch.no_grad():
            teacher = self.slow_part
            whole, other = (to_tokens(teacher(teacher.preprocess(images))) for images in (batch.images, batch.others))
            places = balanced(self.slow_places(whole).flatten(0, 1))[batch.hidden.flatten()]
            pooled = balanced(self.slow_pooled(other.mean(1)))
        masked = self.places(seen).flatten(0, 1)[batch.hidden.flatten()]
        return matched(masked, places) + matched(self.pooled(seen.mean(1)), pooled)

    @torch.no_grad()
    def follow(self) -> None:
        """Move the teacher towards the student."""
        if not self.training:
            return
        pairs = (
            (self.slow_part, self.part),
            (self.slow_places, self.places),
            (self.slow_pooled, self.pooled),
        )
        for teacher, student in pairs:
            for slow, fast in zip(teacher.parameters(), student.parameters(), strict=True):
                slow.lerp_(fast, 1 - MOMENTUM)

    def score(self, groups: Iterable[Sequence[Mapping[str, Tensor]]]) -> float:
        # In pools of one size: the more pictures there are, the nearer a right neighbour.
        found = [self.named(pool) for pool in pools(self.batches(groups))]
        return sum(right for right, _ in found) / sum(total for _, total in found)

    def named(self, pool: Sequence[Fields]) -> tuple[int, int]:
        """How many places are named rightly by neighbours in other pictures of the pool, and how many there are."""
        features, classes, colours, owners = [], [], [], []
        pictures = 0
        for batch in pool:
            tokens = F.normalize(to_tokens(self.features(batch.images)), dim=-1)
            there = batch.classes.flatten(1) >= 0
            features.append(tokens[there])
            classes.append(batch.classes.flatten(1)[there])
            colours.append(batch.colours.flatten(1)[there])
            owners.append(there.nonzero()[:, 0] + pictures)
            pictures += len(batch)
        vectors, named, colour, owner = (torch.cat(values) for values in (features, classes, colours, owners))
        likeness = vectors @ vectors.T
        likeness[(owner[:, None] == owner) | (colour[:, None] != colour)] = -1
        nearest = named[likeness.topk(min(NEIGHBOURS, len(named)), dim=1).indices]
        return int((nearest.mode(dim=1).values == named).sum()), len(named)


def pools(batches: Iterable[Fields]) -> Iterator[list[Fields]]:
    """The batches, POOL at a time."""
    waiting = iter(batches)
    while pool := list(islice(waiting, POOL)):
        yield pool


class Prototypes(nn.Module):
    """DINO's head: an MLP, and the cosine with each prototype."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.LayerNorm(channels), nn.Linear(channels, WIDTH), nn.GELU(), nn.Linear(WIDTH, WIDTH))
        self.prototypes = nn.Parameter(torch.randn(PROTOTYPES, WIDTH))

    def forward(self, features: Tensor) -> Tensor:
        return F.linear(F.normalize(self.mlp(features), dim=-1), F.normalize(self.prototypes, dim=-1))


def balanced(scores: Tensor) -> Tensor:
    """Soft assignments [n, PROTOTYPES] that use all prototypes alike (Sinkhorn-Knopp)."""
    shares = (scores / TEACHER).exp()
    for _ in range(SINKHORN):
        shares = shares / shares.sum(0, keepdim=True).clamp(min=1e-12)
        shares = shares / shares.sum(1, keepdim=True)
    return shares


def matched(scores: Tensor, targets: Tensor) -> Tensor:
    """The cross-entropy of the student's scores against the teacher's assignments."""
    return -(targets * F.log_softmax(scores / STUDENT, dim=-1)).sum(-1).mean()


def things(picture: Picture, grid: int) -> tuple[Tensor, Tensor]:
    """Class and colour of the thing that covers most of each place [grid, grid], as numbers; class -1 where none covers a tenth."""
    shares = torch.from_numpy(cell_shares(picture, grid))
    largest, thing = shares.max(0)
    classes = torch.tensor([CLASSES.index(class_of(mark)) for mark in picture.marks])
    names = list(COLOURS)
    colours = torch.tensor(
        [next((names.index(one) for one in mark.labels if one in names), -1) for mark in picture.marks]
    )
    return torch.where(largest >= COVERED, classes[thing], -1), colours[thing]
