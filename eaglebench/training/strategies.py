"""How a model is spread over several devices: Lightning's strategies, for GPUs, and for CPUs to try a config there.

The functions `ddp`, `fsdp` and `deepspeed` are named in conf/trainer/; each gives the strategy of one training.
"""

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.pytorch.plugins.precision import DeepSpeedPrecision
from lightning.pytorch.strategies import DDPStrategy, DeepSpeedStrategy, ModelParallelStrategy, Strategy
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor

from eaglebench.training.devices import BF16, CPU, FP32, Devices
from eaglebench.utils.errors import UserError


def ddp(devices: Devices) -> Strategy:
    """DistributedDataParallel: a copy of everything on each device; gradients are averaged.

    Unused parameters are found in each step: heads of a library's backbone, and experts that a route leaves out, have
    no gradient.
    """
    return DDPStrategy(process_group_backend=devices.backend, gradient_as_bucket_view=True, find_unused_parameters=True)


def fsdp(devices: Devices) -> Strategy:
    """FSDP2: weights, gradients and optimizer states are sharded; each block is all-gathered for its computation."""
    return ModelParallelStrategy(
        data_parallel_size=devices.count, tensor_parallel_size=1, process_group_backend=devices.backend
    )


def deepspeed(
    devices: Devices,
    stage: Literal[2, 3],
    offload_optimizer: bool = False,
    offload_parameters: bool = False,
    **arguments: Any,
) -> Strategy:
    """DeepSpeed's ZeRO: optimizer states and gradients are sharded (stage 2), and weights too (stage 3).

    Args:
        devices: to train on.
        stage: of ZeRO.
        offload_optimizer, offload_parameters: keep these in the CPU's memory.
        arguments: more of Lightning's DeepSpeedStrategy.

    Raises:
        UserError: the precision is neither float32 nor bf16-mixed.
    """
    if devices.precision not in (FP32, BF16):
        raise UserError(f"trainer.precision={devices.precision} is not for DeepSpeed: choose {BF16} or {FP32}.")
    kind = DeepSpeedOnCPU if devices.accelerator == CPU else DeepSpeedStrategy
    strategy = kind(
        stage=stage,
        offload_optimizer=offload_optimizer,
        offload_parameters=offload_parameters,
        process_group_backend=devices.backend,
        precision_plugin=DeepSpeedAutocast(devices),
        exclude_frozen_parameters=True,
        logging_batch_size_per_gpu=1,  # DeepSpeed would look for it in a loader of another kind
        **arguments,
    )
    assert isinstance(strategy.config, dict)
    strategy.config["torch_autocast"] = {"enabled": devices.precision == BF16, "dtype": "bfloat16"}
    strategy.config["zero_force_ds_cpu_optimizer"] = False  # AdamW is torch's, offloaded or not
    return strategy


class DeepSpeedAutocast(DeepSpeedPrecision):
    """bf16-mixed as with every other strategy: float32 weights under torch's autocast.

    DeepSpeed's own mode casts the whole network, rotary position tables too, and frozen weights for good.
    """

    def __init__(self, devices: Devices) -> None:
        super().__init__(FP32)
        self.autocast = devices.precision == BF16
        self.device_type = CPU if devices.accelerator == CPU else "cuda"

    def backward(self, tensor: Tensor, model: Any, optimizer: Any, *args: Any, **kwargs: Any) -> None:
        """The backward pass of a loss that Lightning has divided by the number of micro-batches.

        Without `scale_wrt_gas=False`, DeepSpeed would divide it once more.
        """
        super().backward(tensor, model, optimizer, *args, scale_wrt_gas=False, **kwargs)

    def forward_context(self) -> AbstractContextManager[Any]:
        return torch.autocast(self.device_type, torch.bfloat16) if self.autocast else nullcontext()


class DeepSpeedOnCPU(DeepSpeedStrategy):
    """ZeRO on CPU processes, which DeepSpeed supports and Lightning refuses."""

    @property
    def root_device(self) -> torch.device:
        return torch.device(CPU, 0)  # DeepSpeed wants a number

    def setup_environment(self) -> None:
        DDPStrategy.setup_environment(self)

    def setup_distributed(self) -> None:
        self.set_world_ranks()
        self._init_deepspeed_distributed()


def shard_network(network: nn.Module, blocks: Sequence[nn.Module], mesh: DeviceMesh) -> None:
    """Shard a network's weights with FSDP2, in place: each of `blocks` as one unit, and the rest as another.

    Weights stay float32. What computes in bfloat16 is up to torch's autocast, as with every other strategy.
    """
    for block in blocks:
        fully_shard(block, mesh=mesh)
    fully_shard(network, mesh=mesh)
    if hasattr(network, "generate"):
        register_fsdp_forward_method(network, "generate")


def checkpoint_layout(strategy: Strategy) -> str:
    """The suffix of a strategy's checkpoints. All strategies of one layout can read each other's."""
    if isinstance(strategy, DeepSpeedStrategy):
        return f"zero{strategy.config['zero_optimization']['stage']}-{strategy.world_size}"  # type: ignore[index]
    return "fsdp" if isinstance(strategy, ModelParallelStrategy) else "ckpt"


def gather_weight(value: Tensor) -> Tensor:
    """The whole of a weight that may be sharded, in every process. All processes must call this together."""
    if isinstance(value, DTensor):
        return value.full_tensor()
    if hasattr(value, "ds_id"):  # a parameter that ZeRO 3 has sharded
        from deepspeed.runtime.zero import GatheredParameters

        with GatheredParameters([value]):
            return value.detach().clone()
    return value


def compute_gradient_norm(part: nn.Module, sharded_by_deepspeed: bool) -> Tensor | None:
    """The L2 norm of all gradients of a part, over its shards, a scalar; None if it has no gradient."""
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


def release_memory(strategy: Strategy) -> None:
    """Free the network of a finished training, which DeepSpeed's hooks and caches would hold until the process ends."""
    if not isinstance(strategy, DeepSpeedStrategy) or not hasattr(strategy.model, "destroy"):  # it came to no engine
        return
    from deepspeed.runtime.zero.parameter_offload import FWD_MODULE_STACK
    from deepspeed.runtime.zero.partitioned_param_coordinator import PartitionedParameterCoordinator

    strategy.deepspeed_engine.destroy()
    FWD_MODULE_STACK.clear()  # grows by each block whose activations are recomputed
    for method in vars(PartitionedParameterCoordinator).values():  # one caches its arguments, behind a wrapper
        for cell in getattr(method, "__closure__", None) or ():
            if hasattr(cell.cell_contents, "cache_clear"):
                cell.cell_contents.cache_clear()


def find_cluster_environment(count: int) -> ClusterEnvironment | None:
    """Lightning's view of the `count` processes that were started together; None if they are yet to be started.

    Raises:
        UserError: another number of processes was started.
    """
    found: ClusterEnvironment | None = None
    if TorchElasticEnvironment.detect():
        found = TorchElasticEnvironment()
    elif "SLURM_STEP_ID" in os.environ and int(os.environ.get("SLURM_NTASKS", "1")) > 1:
        found = SLURMEnvironment(auto_requeue=False)  # Lightning's requeues in the middle of a step
    if found is not None and found.world_size() != count:
        raise UserError(
            f"{found.world_size()} processes were started, and trainer.devices x trainer.nodes is {count}: make them "
            "the same."
        )
    return LightningEnvironment() if found is None and count == 1 else found
