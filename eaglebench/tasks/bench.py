"""task=bench: whatever the group `bench` measures."""

from hydra.utils import get_method
from omegaconf import DictConfig


def bench(cfg: DictConfig) -> None:
    """Measure what `cfg.bench` says."""
    get_method(cfg.bench._target_)(cfg)
