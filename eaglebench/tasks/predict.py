"""task=predict: ask a finished run about an image."""

from functools import partial
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from eaglebench.config.build import build_evaluation, build_workshop
from eaglebench.config.compose import take_overrides
from eaglebench.data.images import load_image
from eaglebench.data.sample import Sample, Turn
from eaglebench.evaluation.evaluate import answerer_of
from eaglebench.evaluation.generation import Question
from eaglebench.runs import load_config, load_model
from eaglebench.utils.errors import UserError


def predict(cfg: DictConfig) -> None:
    """Print the answer of `cfg.run` to `cfg.prompt`, about `cfg.image` if there is one."""
    run = load_config(cfg.run)
    take_overrides(run, cfg, HydraConfig.get().overrides.task)
    image = None if cfg.image is None else Path(cfg.image)
    if image is not None and not image.is_file():
        raise UserError(f"image={image} does not exist.")
    settings = build_evaluation(run)
    model, language = load_model(cfg.run, build_workshop(run, trained=True))
    answerer = answerer_of(model, language, partial(load_image, side=model.image_side), settings, settings.device)
    sample = Sample(image.name if image is not None else "prompt", image, (Turn(str(cfg.prompt), ""),))
    print(next(answerer.answers([Question(sample, 0)])))
