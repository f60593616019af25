"""DINOv2's pretext task: balanced targets, a slow teacher, masked cells, and a linear probe."""

import torch
from torch import Tensor

from eaglebench.training.parameter_groups import build_parameter_groups
from eaglebench.zoo.distillation import Distillation, balance, probe
from tests.helpers.pretexts import dataset_of, pretext_of


def test_balanced_assignments_use_all_prototypes_equally() -> None:
    torch.manual_seed(0)
    shares = balance(torch.randn(512, 8) * 0.05 + torch.linspace(-0.1, 0.1, 8))
    torch.testing.assert_close(shares.sum(1), torch.ones(512))
    assert shares.sum(0).max() / shares.sum(0).min() < 1.2


def test_the_teacher_follows_the_student_in_training_alone() -> None:
    pretext = pretext_of("dinov2")
    assert isinstance(pretext, Distillation)
    slow, fast = next(pretext.slow_part.parameters()), next(pretext.part.parameters())
    with torch.no_grad():
        fast += 1
    before = slow.clone()
    pretext.eval().update_teacher()
    assert torch.equal(slow, before)
    pretext.train().update_teacher()
    torch.testing.assert_close(slow, before + 0.01 * (fast - before))
    assert not any(parameter.requires_grad for parameter in pretext.slow_part.parameters())


def test_prototypes_stay_cosines_in_training() -> None:
    pretext = pretext_of("dinov2")
    assert isinstance(pretext, Distillation)
    groups = build_parameter_groups({"part": pretext.part, "head": pretext.head}, {"part": 0.1, "head": 0.1}, 0.1)
    optimizer = torch.optim.AdamW(groups)
    batch = pretext.collate([dataset_of(pretext)[index] for index in range(2)])
    for _ in range(2):
        pretext.train()(batch).backward()
        optimizer.step()
    assert pretext.places(torch.randn(50, pretext.part.channels)).abs().max() <= 1 + 1e-5


def test_a_probe_is_linear_and_is_tested_on_other_scenes() -> None:
    torch.manual_seed(0)
    features = torch.randn(200, 4, 8)
    linear = (features[..., 0] > 0).long()
    assert probe(features, linear) > 0.9
    assert 0.4 < probe(features, (features[..., :2].prod(dim=-1) > 0).long()) < 0.6
    chance = torch.randint(2, (200, 4))
    assert 0.4 < probe(features, chance) < 0.6
    # Cells without an object play no part.
    hidden = torch.rand(200, 4) < 0.5
    wrong = torch.where(hidden, -1, linear)
    features[hidden] = 1e3
    assert probe(features, wrong) > 0.9


def test_the_student_does_not_see_masked_cells() -> None:
    pretext = pretext_of("dinov2")
    assert isinstance(pretext, Distillation)
    seen: list[Tensor] = []
    pretext.part.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    batch = pretext.collate([dataset_of(pretext)[index] for index in range(2)])
    pretext(batch)
    cell = pretext.part.image_size // pretext.part.grid
    for sample, row, column in batch.hidden.nonzero().tolist():
        patch = seen[0][sample, :, row * cell + 2 : (row + 1) * cell - 2, column * cell + 2 : (column + 1) * cell - 2]
        assert patch.flatten(1).std(dim=1).max() < 1e-3
