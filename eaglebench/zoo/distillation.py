"""DINOv2's pretext task: agreeing with a slow copy of itself about another view, without labels (arXiv 2304.07193)."""

import copy
from collections.abc import Iterable, Mapping, Sequence
from random import Random

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eaglebench.data.synthetic.drawing import COLOURS, Picture
from eaglebench.experts.base import VisionExpert
from eaglebench.fusion.grid import to_tokens
from eaglebench.zoo.pretext import ExpertPretext, Fields, cell_shares, pixels

PROTOTYPES = 256
WIDTH = 128  # of the head
MOMENTUM = 0.99  # of the teacher, a step
STUDENT, TEACHER = 0.1, 0.05  # temperatures
MASKED = 0.4  # of the places that the student does not see
SHIFT = 16  # pixels that a view may be moved by, as a fraction: one in so many of the side
SINKHORN = 3  # iterations
NEIGHBOURS = 5


class Distillation(ExpertPretext):
    """A student and its moving average. The student sees one view with places blotted out, the teacher sees it whole, and a second
    view: the student's masked places must match the teacher's places (iBOT), and its pooled map the teacher's of the other view
    (DINO). The teacher's assignments are balanced by Sinkhorn-Knopp, as in DINOv2.
    """

    beside = ("slow_part", "slow_places", "slow_pooled")
    metric = "share of places in held-out pictures whose colour is that of their nearest neighbours in other pictures"

    slow_part: VisionExpert

    def __init__(self, part: VisionExpert) -> None:
        super().__init__(part)
        self.places, self.pooled = prototypes(part.channels), prototypes(part.channels)
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
        tint = torch.tensor([rng.uniform(0.9, 1.1) for _ in range(3)]).view(3, 1, 1)
        other = (moved * tint).clamp(0, 255).to(torch.uint8)
        hidden = torch.tensor([[rng.random() < MASKED for _ in range(self.part.grid)] for _ in range(self.part.grid)])
        return {"images": image, "others": other, "hidden": hidden, "colours": colours_of(picture, self.part.grid)}

    def forward(self, batch: Fields) -> Tensor:
        self.follow()
        scale = batch.images.shape[-1] // self.part.grid
        hidden = batch.hidden.repeat_interleave(scale, 1).repeat_interleave(scale, 2).unsqueeze(1)
        grey = batch.images.float().mean(dim=(2, 3), keepdim=True).to(torch.uint8)
        seen = to_tokens(self.part(self.part.preprocess(torch.where(hidden, grey, batch.images))))
        with torch.no_grad():
            teacher = self.slow_part
            whole, other = (to_tokens(teacher(teacher.preprocess(images))) for images in (batch.images, batch.others))
            places = balanced(self.slow_places(whole).flatten(0, 1))[batch.hidden.flatten()]
            pooled = balanced(self.slow_pooled(other.mean(1)))
        masked = self.places(seen).flatten(0, 1)[batch.hidden.flatten()]
        return matched(masked, places) + matched(self.pooled(seen.mean(1)), pooled)

    def students(self) -> tuple[VisionExpert, nn.Module, nn.Module]:
        """What trains."""
        return self.part, self.places, self.pooled

    @torch.no_grad()
    def follow(self) -> None:
        """Move the teacher towards the student."""
        if not self.training:
            return
        for teacher, student in zip((self.slow_part, self.slow_places, self.slow_pooled), self.students(), strict=True):
            for slow, fast in zip(teacher.parameters(), student.parameters(), strict=True):
                slow.lerp_(fast, 1 - MOMENTUM)

    def score(self, groups: Iterable[Sequence[Mapping[str, Tensor]]]) -> float:
        features, colours, owners = [], [], []
        for number, batch in enumerate(self.batches(groups)):
            tokens = F.normalize(to_tokens(self.features(batch.images)), dim=-1)
            coloured = batch.colours.flatten(1) >= 0
            features.append(tokens[coloured])
            colours.append(batch.colours.flatten(1)[coloured])
            owners.append(coloured.nonzero()[:, 0] + number * len(batch))
        vectors, named, owner = torch.cat(features), torch.cat(colours), torch.cat(owners)
        likeness = vectors @ vectors.T
        likeness[owner[:, None] == owner] = -1
        nearest = named[likeness.topk(NEIGHBOURS, dim=1).indices]
        return float((nearest.mode(dim=1).values == named).float().mean())


def prototypes(channels: int) -> nn.Sequential:
    """DINO's head: an MLP to scores of prototypes, by cosine."""
    last = nn.utils.parametrizations.weight_norm(nn.Linear(WIDTH, PROTOTYPES, bias=False))
    last.parametrizations.weight.original0.data.fill_(1.0)
    last.parametrizations.weight.original0.requires_grad_(False)
    return nn.Sequential(
        nn.LayerNorm(channels), nn.Linear(channels, WIDTH), nn.GELU(), nn.Linear(WIDTH, WIDTH), Unit(), last
    )


class Unit(nn.Module):
    """Vectors of length 1."""

    def forward(self, vectors: Tensor) -> Tensor:
        return F.normalize(vectors, dim=-1)


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


def colours_of(picture: Picture, grid: int) -> Tensor:
    """The colour that covers most of each place [grid, grid], as its number; -1 where no colour covers a tenth."""
    names = list(COLOURS)
    shares = torch.from_numpy(cell_shares(picture, grid))
    largest, thing = shares.max(0)
    found = torch.tensor(
        [next((names.index(label) for label in mark.labels if label in names), -1) for mark in picture.marks]
    )
    return torch.where(largest >= 0.1, found[thing], -1)
