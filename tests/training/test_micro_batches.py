"""A step does not depend on the size of micro-batches."""

import pytest
import torch
from rich.console import Console
from torch import Tensor, nn
from torch.utils.data import Dataset

from eaglebench.training.batch_sampler import BatchOrder
from eaglebench.training.hyperparameters import Hyperparameters
from eaglebench.training.micro_batches import MicroBatch, MicroBatchDataset, MicroBatchSampler
from eaglebench.training.setup import TrainingSetup
from eaglebench.training.trainer import StageTrainer


def test_processes_share_each_batch_and_leave_nothing_out() -> None:
    batches = list(BatchOrder(24, 12, 3, seed=0))
    shares = [list(MicroBatchSampler(BatchOrder(24, 12, 3, seed=0), 2, 3, lambda rank=rank: rank)) for rank in range(3)]
    for number, batch in enumerate(batches):
        micro_batches = [share[2 * number + micro] for micro in range(2) for share in shares]
        assert [index for micro_batch in micro_batches for index in micro_batch.indices] == batch
        assert all(micro_batch.batch == batch for micro_batch in micro_batches)
    assert all(len(share) == 6 for share in shares)


class Words(Dataset[Tensor]):
    """Samples of different lengths, in float64."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self.samples = [torch.randn(1 + index % 5, 3, generator=generator, dtype=torch.float64) for index in range(20)]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Tensor:
        return self.samples[index]

    def targets(self, index: int) -> int:
        return len(self.samples[index])


class Network(nn.Module):
    """Its loss is the mean over all the rows of a batch, as that of a language model over its target tokens."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(3, 1).double()

    def forward(self, batch: list[Tensor]) -> Tensor:
        return (self.layer(torch.cat(batch)) - 1).square().mean()


def trained(micro_batch: int | None) -> tuple[Tensor, list[float]]:
    network, words = Network(), Words()
    setup = TrainingSetup(network, {"layer": network.layer}, {"layer": 0.1}, words, list, "stages.sft", words.targets)
    hyperparameters = Hyperparameters(8, 6, None, 0.0, 0.0, (0.9, 0.99), 1.0, "stop", micro_batch)
    losses = (
        StageTrainer({"accelerator": "cpu"}, [], 0, Console(quiet=True)).train(setup, hyperparameters, "sft", 0).losses
    )
    return network.layer.weight.detach(), losses


@pytest.mark.parametrize("micro_batch", [8, 4, 2, 1])
def test_micro_batches_change_neither_weights_nor_losses(micro_batch: int) -> None:
    weight, losses = trained(None)
    cut, its_losses = trained(micro_batch)
    assert len(its_losses) == 6
    torch.testing.assert_close(cut, weight, atol=1e-12, rtol=1e-12)
    assert its_losses == pytest.approx(losses, abs=1e-12)


def test_samples_weigh_the_same_where_targets_are_not_known() -> None:
    assert MicroBatchDataset(Words(), list, None)[MicroBatch([0], [0, 4])][1] == 1.0
    assert MicroBatchDataset(Words(), list, Words().targets)[MicroBatch([0], [0, 4])][1] == pytest.approx(2 * 1 / 6)
