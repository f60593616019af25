"""A finished run in Python: ask it, see its experts' features, its scores and its configuration."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, cast, overload

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from eaglebench.config.build import load_trained_model
from eaglebench.config.build_data import build_evaluation, build_image_settings
from eaglebench.config.read import read_config
from eaglebench.config.schema import Config, EvaluationConfig
from eaglebench.data.images import load_image
from eaglebench.data.sample import Sample, Turn
from eaglebench.data.square import ImageSettings
from eaglebench.data.unreadable import name_unreadable
from eaglebench.evaluation.answer_room import AnswerLimits
from eaglebench.evaluation.generation import AnswerGenerator
from eaglebench.evaluation.questions import EvalQuestion
from eaglebench.language.base import LanguageModel
from eaglebench.model.eagle import EagleModel, build_encoder
from eaglebench.runs import SCORES, check_run_folder, read_run_config
from eaglebench.utils.errors import UserError
from eaglebench.utils.files import read_json_object

ImageLike = str | Path | Image.Image | NDArray[np.uint8]
Item = TypeVar("Item")


def load_run(folder: Path, plugins: Sequence[str] = ()) -> "Run":
    """The run in a folder.

    Args:
        plugins: modules of the user's own whose classes the run may name.

    Raises:
        UserError: it is not the folder of a finished run of this version.
    """
    check_run_folder(folder)
    return Run(folder, read_config(read_run_config(folder), plugins))


class Run:
    """A finished run. Its weights are read when they are first needed.

    Args:
        folder: the run folder.
        config: of the run.

    Attributes:
        folder, config: as above.
    """

    def __init__(self, folder: Path, config: Config) -> None:
        self.folder = folder
        self.config = config

    def __repr__(self) -> str:
        overall = (self.scores or {}).get("overall")
        return f"Run({str(self.folder)!r}{'' if overall is None else ', score ' + format(overall['score'], '.3f')})"

    @property
    def scores(self) -> dict[str, Any] | None:
        """The scores of the run's evaluation, `scores["overall"]["score"]` and by family; None if it was not
        evaluated.
        """
        return read_json_object(self.folder / SCORES)

    @cached_property
    def _loaded(self) -> tuple[EagleModel, LanguageModel]:
        model, language = load_trained_model(self.config, self.folder)
        return model.to(self.config.trainer.device).eval(), language

    @property
    def model(self) -> EagleModel:
        """The whole model, in evaluation mode."""
        return self._loaded[0]

    @overload
    def ask(self, image: ImageLike | None, question: str, max_new_tokens: int | None = None) -> str: ...

    @overload
    def ask(
        self,
        image: ImageLike | Sequence[ImageLike | None] | None,
        question: str | Sequence[str],
        max_new_tokens: int | None = None,
    ) -> str | list[str]: ...

    def ask(
        self,
        image: ImageLike | Sequence[ImageLike | None] | None,
        question: str | Sequence[str],
        max_new_tokens: int | None = None,
    ) -> str | list[str]:
        """The answer to a question about an image; with lists, the answers to each pair, computed in batches.

        Args:
            image: a path, a PIL image, or an array [H, W], [H, W, 3] or [H, W, 4] of uint8; None for a question without
                an image; or a list of these.
            question: one for all images, or a list with one for each; with one image, each is about that one.
            max_new_tokens: of an answer; None: what the run was evaluated with.

        Raises:
            UserError: an image cannot be read, or two lists differ in length.
        """
        is_single = isinstance(question, str) and not isinstance(image, (list, tuple))
        images: list[ImageLike | None] = (
            list(image) if isinstance(image, (list, tuple)) else [cast(ImageLike | None, image)]
        )
        texts = [question] if isinstance(question, str) else list(question)
        count = max(len(images), len(texts))
        images, texts = repeat_single(images, count), repeat_single(texts, count)
        if len(images) != len(texts):
            raise UserError(f"{len(images)} images and {len(texts)} questions: give one of either, or as many of both.")
        pixels = {Path(str(index)): one for index, one in enumerate(images) if one is not None}
        questions = [
            EvalQuestion(
                Sample(f"{index}", path if (path := Path(str(index))) in pixels else None, (Turn(text, ""),)), 0
            )
            for index, text in enumerate(texts)
        ]
        answers = list(self._generator(pixels, max_new_tokens).answer(questions))
        return answers[0] if is_single else answers

    def features(self, image: ImageLike) -> dict[str, Tensor]:
        """The feature map [C, H, W] of each expert for an image, by the expert's name.

        Raises:
            UserError: the image cannot be read.
        """
        images_13SS = self._load_image(image).unsqueeze(0).to(self.config.trainer.device)
        with torch.inference_mode():
            return {
                name: expert(expert.preprocess(images_13SS))[0]  # type: ignore[operator]
                for name, expert in self.model.experts.items()
            }

    def _load_image(self, image: ImageLike) -> Tensor:
        return to_square(image, self.model.image_side, build_image_settings(self.config.data))

    def _generator(self, pixels: dict[Path, ImageLike], max_new_tokens: int | None) -> AnswerGenerator:
        model, language = self._loaded
        if isinstance(self.config.evaluation, EvaluationConfig):
            settings = build_evaluation(self.config)
            batch_size, usual, options = settings.batch_size, settings.max_new_tokens, settings.generate
        else:
            batch_size, usual, options = self.config.evaluation.batch_size, self.config.evaluation.max_new_tokens, None
        return AnswerGenerator(
            model,
            build_encoder(model, language),
            language.tokenizer,
            lambda path: self._load_image(pixels[path]),
            device=self.config.trainer.device,
            batch_size=batch_size,
            limits=AnswerLimits(max_new_tokens or usual),
            options=options,
            seed=self.config.seed,
        )


def to_square(image: ImageLike, side: int, settings: ImageSettings) -> Tensor:
    """An image as the model sees it: uint8 [3, side, side].

    Raises:
        UserError: it cannot be read, or is an array of another kind.
    """
    if isinstance(image, np.ndarray):
        planes = image.shape[2:] in ((), (3,), (4,))
        if image.dtype != np.uint8 or image.ndim < 2 or not planes or not image.size:
            raise UserError(
                f"an array of shape {list(image.shape)} and type {image.dtype} is no image: give [H, W], [H, W, 3] "
                "or [H, W, 4] of uint8."
            )
        image = Image.fromarray(image)
    with name_unreadable("the image given" if isinstance(image, Image.Image) else f"the image {image}"):
        return load_image(image, side, settings)


def repeat_single(items: list[Item], count: int) -> list[Item]:
    """A single item `count` times; several as they are."""
    return items * count if len(items) == 1 else items
