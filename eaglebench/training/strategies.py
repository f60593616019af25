"""How a model is spread over several devices: Lightning's strategies, for GPUs, and for CPUs to try a config without one.

Each of the functions that a config names gives the strategy of one training.
"""

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Final

import torch
from lightning.fabric.plugins.environments import ClusterEnvironment
from lightning.pytorch.plugins.environments import LightningEnvironment, SLURMEnvironment, TorchElasticEnvironment
from lightning.pytorch.plugins.precision import DeepSpeedPrecision
from lightning.pytorch.strategies import DDPStrategy, DeepSpeedStrategy, ModelParallelStrategy, Strategy
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor

from eaglebench.utils.errors import UserError

CPU = "cpu"
FP32: Final = "32-true"
BF16: Final = "bf16-mixed"


@dataclass(frozen=True)
class Devices:
    """What a model is spread over: Lightning's names of the kind of device and of the precision, and how many there are."""

    accelerator: str
    precision: str
    count: int

    @property
    def backend(self) -> str:
        """The name in torch of how they talk to each other."""
        return "gloo" if self.accelerator == CPU else "nccl"


def ddp(devices: Devices) -> Strategy:
    """A copy of everything on each device; gradients are averaged. Weights that a loss does not use are looked for, because there are
    such: heads of a library's backbone, experts that a route leaves out."""
    return DDPStrategy(process_group_backend=devices.backend, gradient_as_bucket_view=True, find_unused_parameters=True)


def fsdp(devices: Devices) -> Strategy:
    """Weights, gradients and optimizer states in shards (FSDP2); a block is whole on a device while it computes."""
    return ModelParallelStrategy(
        data_parallel_size=devices.count, tensor_parallel_size=1, process_group_backend=devices.backend
    )


def deepspeed(devices: Devices, stage: int, **arguments: Any) -> Strategy:
    """DeepSpeed's ZeRO: optimizer states and gradients in shards (stage 2), weights too (stage 3).

    Args:
        arguments: of Lightning's DeepSpeedStrategy (`offload_optimizer=True` ...).

    Raises:
        UserError: a precision that it does not have here.
    """
    if devices.precision not in (FP32, BF16):
        raise UserError(f"trainer.precision={devices.precision} is not for DeepSpeed: choose {BF16} or {FP32}.")
    kind = DeepSpeedOnCPU if devices.accelerator == CPU else DeepSpeedStrategy
    strategy = kind(
        stage=stage,
        process_group_backend=devices.backend,
        precision_plugin=DeepSpeedAutocast(devices),
        exclude_frozen_parameters=True,
        logging_batch_size_per_gpu=1,  # it would look for it in a loader of another kind
        **arguments,
    )
    assert isinstance(strategy.config, dict)
    strategy.config["torch_autocast"] = {"enabled": devices.precision == BF16, "dtype": "bfloat16"}
    strategy.config["zero_force_ds_cpu_optimizer"] = False  # AdamW is torch's, offloaded or not
    return strategy


class DeepSpeedAutocast(DeepSpeedPrecision):
    """bf16-mixed as everywhere else: float32 weights, and what computes in bfloat16 is torch's choice.

    DeepSpeed's own mode casts the whole network, tables of rotary positions too, and frozen weights for good.
    """

    def __init__(self, devices: Devices) -> None:
        super().__init__(FP32)
        self.lower = devices.precision == BF16
        self.device_type = CPU if devices.accelerator == CPU else "cuda"

    def backward(self, tensor: Tensor, model: Any, optimizer: Any, *args: Any, **kwargs: Any) -> None:
        """Lightning has divided the loss by the number of pieces of a batch; DeepSpeed would divide it once more."""
        super().backward(tensor, model, optimizer, *args, scale_wrt_gas=False, **kwargs)

    def forward_context(self) -> AbstractContextManager[Any]:
        return torch.autocast(self.device_type, torch.bfloat16) if self.lower else nullcontext()


class DeepSpeedOnCPU(DeepSpeedStrategy):
    """What Lightning refuses and DeepSpeed can: ZeRO on processes of a CPU."""

    @property
    def root_device(self) -> torch.device:
        return torch.device(CPU, 0)  # DeepSpeed wants a number

    def setup_environment(self) -> None:
        DDPStrategy.setup_environment(self)

    def setup_distributed(self) -> None:
        self.set_world_ranks()
        self._init_deepspeed_distributed()


def shard(network: nn.Module, blocks: Sequence[nn.Module], mesh: DeviceMesh) -> None:
    """Make shards of a network's weights: each of `blocks` by itself, and the rest together. They stay float32: what is computed in
    bfloat16 is the choice of torch's autocast, as with every other strategy."""
    for block in blocks:
        fully_shard(block, mesh=mesh)
    fully_shard(network, mesh=mesh)
    if hasattr(network, "generate"):
        register_fsdp_forward_method(network, "generate")


def layout(strategy: Strategy) -> str:
    """What a checkpoint of a strategy is called after: those of one layout can be read by each other."""
    if isinstance(strategy, DeepSpeedStrategy):
        return f"zero{strategy.config['zero_optimization']['stage']}-{strategy.world_size}"  # type: ignore[index]
    return "fsdp" if isinstance(strategy, ModelParallelStrategy) else "ckpt"


def whole(value: Tensor) -> Tensor:
    """A weight as it would be on a single device, in every process."""
    if isinstance(value, DTensor):
        return value.full_tensor()
    if hasattr(value, "ds_id"):  # a parameter in the shards of ZeRO 3
        from deepspeed.runtime.zero import GatheredParameters

        with GatheredParameters([value]):
            return value.detach().clone()
    return value


def gradient_norm(part: nn.Module, sharded_by_deepspeed: bool) -> Tensor | None:
    """The norm of all gradients of a part, out of their shards; None if it has no gradient."""
    if sharded_by_deepspeed:
        from deepspeed.utils import safe_get_full_grad

        found = [safe_get_full_grad(parameter) for parameter in part.parameters() if parameter.requires_grad]
    else:
        found = [parameter.grad for parameter in part.parameters()]
    gradients = [gradient for gradient in found if gradient is not None]
    if not gradients:
        return None
    norm = nn.utils.get_total_norm(gradients)
    return norm.full_tensor() if isinstance(norm, DTensor) else norm


def release(strategy: Strategy) -> None:
    """Let go of a finished training, which DeepSpeed's hooks and what it remembers for all engines would keep to the end of the process."""
    if not isinstance(strategy, DeepSpeedStrategy) or not hasattr(strategy.model, "destroy"):  # it came to no engine
        return
    from deepspeed.runtime.zero.parameter_offload import FWD_MODULE_STACK
    from deepspeed.runtime.zero.partitioned_param_coordinator import PartitionedParameterCoordinator

    strategy.deepspeed_engine.destroy()
    FWD_MODULE_STACK.clear()  # grows by each block whose activations are computed again
    for method in vars(PartitionedParameterCoordinator).values():  # one remembers its arguments, behind a wrapper
        for cell in getattr(method, "__closure__", None) or ():
            if hasattr(cell.cell_contents, "cache_clear"):
                cell.cell_contents.cache_clear()


def environment(count: int) -> ClusterEnvironment | None:
    """Who this process is among `count` that were started together; None if they are yet to be started.

    Raises:
        UserError: another number of them was started.
    """
    found: ClusterEnvironment | None = None
    if TorchElasticEnvironment.detect():
        found = TorchElasticEnvironment()
    elif "SLURM_STEP_ID" in os.environ and int(os.environ.get("SLURM_NTASKS", "1")) > 1:
        found = SLURMEnvironment(auto_requeue=False)  # ours waits for the end of a step
    if found is not None and found.world_size() != count:
        raise UserError(
            f"{found.world_size()} processes were started, and trainer.devices x trainer.nodes is {count}: make them the same."
        )
    return LightningEnvironment() if found is None and count == 1 else found
