"""DINOv2's pretext task: agree with a slow copy of itself about another view, without labels (arXiv 2304.07193)."""

import copy
from collections.abc import Iterable, Mapping, Sequence
from random import Random

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eaglebench.data.synthetic.cell_shares import compute_cell_shares
from eaglebench.data.synthetic.drawing import Scene
from eaglebench.experts.base import VisionExpert
from eaglebench.fusion.grid import to_tokens
from eaglebench.zoo.detection import CLASSES, classify
from eaglebench.zoo.pretext import ExpertPretext, TensorBatch, to_pixels

PROTOTYPES = 256
WIDTH = 128  # of the heads
MOMENTUM = 0.99  # of the teacher, per step
STUDENT_TEMPERATURE, TEACHER_TEMPERATURE = 0.1, 0.05
MASKED = 0.4  # share of the cells that are hidden from the student
MAX_SHIFT = 16  # the other view is shifted by at most the side of the image over this
SINKHORN_STEPS = 3
RIDGE = 10.0  # penalty of the linear probe, on standardised features
COVERED = 0.1  # share of a cell that an object must cover to count as shown there


class Distillation(ExpertPretext):
    """A student that sees an image with masked cells, and its moving average that sees all of it and another view.

    The student's masked cells must match the teacher's (iBOT), and its pooled map must match the teacher's of the other
    view (DINO). The teacher's assignments are balanced by the Sinkhorn-Knopp algorithm, as in DINOv2.

    Args:
        part: the expert.
    """

    outside_head = ("slow_part", "slow_places", "slow_pooled")
    metric = "accuracy of a linear probe for the object in each cell of held-out scenes, trained on as many others"

    slow_part: VisionExpert

    def __init__(self, part: VisionExpert) -> None:
        super().__init__(part)
        self.places, self.pooled = Prototypes(part.channels), Prototypes(part.channels)
        self.slow_part = copy.deepcopy(part).requires_grad_(False)
        self.slow_places, self.slow_pooled = (
            copy.deepcopy(head).requires_grad_(False) for head in (self.places, self.pooled)
        )

    def make_item(self, scene: Scene, rng: Random) -> Mapping[str, Tensor]:
        """`images`, `others`: the two views, uint8 [3, S, S]; `hidden`: masked cells, bool [G, G]; `classes`: [G, G].

        Classes, which only `score` uses, are those of `classify_cells`.
        """
        image = to_pixels(scene)
        side, grid = image.shape[-1], self.part.grid
        reach = side // MAX_SHIFT
        down, right = (reach + rng.randint(-reach, reach) for _ in range(2))
        shifted = F.pad(image, (reach,) * 4, mode="reflect")[:, down : down + side, right : right + side]
        # Colour channels are permuted, for DINO's colour jitter: the views must agree on more than colour.
        other = shifted[rng.sample(range(3), 3)]
        hidden = torch.tensor([[rng.random() < MASKED for _ in range(grid)] for _ in range(grid)])
        return {"images": image, "others": other, "hidden": hidden, "classes": classify_cells(scene, grid)}

    def forward(self, batch: TensorBatch) -> Tensor:
        self.update_teacher()
        scale = batch.images.shape[-1] // self.part.grid
        hidden = batch.hidden.repeat_interleave(scale, 1).repeat_interleave(scale, 2).unsqueeze(1)
        grey = batch.images.float().mean(dim=(2, 3), keepdim=True).to(torch.uint8)
        seen_BNC = to_tokens(self.encode(torch.where(hidden, grey, batch.images)))
        with torch.no_grad():
            teacher = self.slow_part
            whole_BNC, other_BNC = (
                to_tokens(teacher(teacher.preprocess(images))) for images in (batch.images, batch.others)
            )
            cell_targets = balance(self.slow_places(whole_BNC).flatten(0, 1))[batch.hidden.flatten()]
            pooled_targets = balance(self.slow_pooled(other_BNC.mean(1)))
        masked_scores = self.places(seen_BNC).flatten(0, 1)[batch.hidden.flatten()]
        pooled_scores = self.pooled(seen_BNC.mean(1))
        return match_loss(masked_scores, cell_targets) + match_loss(pooled_scores, pooled_targets)

    @torch.no_grad()
    def update_teacher(self) -> None:
        """Move the teacher's weights towards the student's; only in training mode."""
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
        features, classes = [], []
        for batch in self.iterate_batches(groups):
            features.append(to_tokens(self.encode(batch.images)))
            classes.append(batch.classes.flatten(1))
        return probe(torch.cat(features), torch.cat(classes))


def probe(features: Tensor, classes: Tensor) -> float:
    """The accuracy of a linear probe: ridge regression on the first half of the scenes, tested on the second.

    Args:
        features: of the cells, [scenes, N, C].
        classes: of the cells, [scenes, N]; cells of class -1 are left out.
    """
    half = len(features) // 2
    (known, answers), (new, expected) = (
        (features[part][classes[part] >= 0].double(), classes[part][classes[part] >= 0])
        for part in (slice(half), slice(half, None))
    )
    mean, deviation = known.mean(0), known.std(0).clamp(min=1e-6)
    known, new = (F.pad((values - mean) / deviation, (0, 1), value=1.0) for values in (known, new))
    targets = F.one_hot(answers, len(CLASSES)).double()
    penalty = RIDGE * torch.eye(known.shape[1], dtype=known.dtype, device=known.device)
    weights = torch.linalg.solve(known.T @ known + penalty, known.T @ targets)
    return float(((new @ weights).argmax(1) == expected).double().mean())


class Prototypes(nn.Module):
    """DINO's head: an MLP, and the cosine with each of PROTOTYPES learned vectors.

    Args:
        channels: of the features.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.LayerNorm(channels), nn.Linear(channels, WIDTH), nn.GELU(), nn.Linear(WIDTH, WIDTH))
        self.prototypes = nn.Parameter(torch.randn(PROTOTYPES, WIDTH))

    def forward(self, features: Tensor) -> Tensor:
        return F.linear(F.normalize(self.mlp(features), dim=-1), F.normalize(self.prototypes, dim=-1))


def balance(scores: Tensor) -> Tensor:
    """Soft assignments [n, PROTOTYPES] from the teacher's scores, which use all prototypes equally (Sinkhorn-Knopp)."""
    shares = (scores / TEACHER_TEMPERATURE).exp()
    for _ in range(SINKHORN_STEPS):
        shares = shares / shares.sum(0, keepdim=True).clamp(min=1e-12)
        shares = shares / shares.sum(1, keepdim=True)
    return shares


def match_loss(scores: Tensor, targets: Tensor) -> Tensor:
    """The mean cross-entropy of the student's scores against the teacher's assignments, both [n, PROTOTYPES]."""
    return -(targets * F.log_softmax(scores / STUDENT_TEMPERATURE, dim=-1)).sum(-1).mean()


def classify_cells(scene: Scene, grid: int) -> Tensor:
    """The class [grid, grid] of the object that covers most of each cell; -1 where none covers a share of COVERED."""
    largest, mark_index = torch.from_numpy(compute_cell_shares(scene, grid)).max(0)
    classes = torch.tensor([CLASSES.index(classify(mark)) for mark in scene.marks])
    return torch.where(largest >= COVERED, classes[mark_index], -1)
