"""One pass of a model over all questions, with its answers cached on disk."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path

from rich.console import Console
from rich.progress import track
from torch import Tensor

from eaglebench.data.images import ImageReader
from eaglebench.evaluation.answer_log import AnswerLog
from eaglebench.evaluation.evaluation_settings import EvaluationSettings
from eaglebench.evaluation.generation import build_generator
from eaglebench.evaluation.questions import EvalQuestion
from eaglebench.evaluation.visual_tokens import VisualTokens, list_images
from eaglebench.language.base import LanguageModel
from eaglebench.model.eagle import EagleModel

BYTES = 4  # of a number of a visual token
LOG_PREFIX = ".answers-"  # of the file names of answer logs


@dataclass(frozen=True)
class EvaluatedModel:
    """A model to be evaluated, which is loaded only when it has to answer.

    Attributes:
        fingerprint: a hash of its weights.
        load: gives the model.
    """

    fingerprint: str
    load: Callable[[], EagleModel]


@dataclass(frozen=True)
class AnswerPasses:
    """Answers lists of questions, each pass with an answer log of its own.

    Attributes:
        language: the language model of every model that answers.
        settings: how answers are generated.
        folder: where the answer logs lie.
        console: where progress is shown.
        read_images: gives the image reader for a side in pixels; shared by all passes.
        visual_tokens: of the images that a model saw in an earlier pass, by its fingerprint.
    """

    language: LanguageModel
    settings: EvaluationSettings
    folder: Path
    console: Console
    read_images: Callable[[int], ImageReader] = field(init=False)
    visual_tokens: dict[str, VisualTokens] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        readers = cache(partial(ImageReader, megabytes=self.settings.cache_mb, settings=self.settings.images))
        object.__setattr__(self, "read_images", readers)  # the dataclass is frozen

    def answer(self, name: str, model: EvaluatedModel, questions: Sequence[EvalQuestion], title: str) -> list[str]:
        """The answers of a model to all questions: cached ones first, the others generated and cached.

        Args:
            name: of the pass, for the file of its answer log.
            title: of the pass, for its progress bar.

        Raises:
            UserError: questions do not fit in the context, transformers refuses the options of generation, or an image
                cannot be read.
        """
        log = AnswerLog(self.folder / f"{LOG_PREFIX}{name}.jsonl", self.list_dependencies(model, questions))
        cached = log.cached_answers()
        if cached:
            self.console.print(f"{title}: resuming with {len(cached)} of {len(questions)} answers cached")
        elif log.is_stale():
            self.console.print(f"{title}: restarting; the cached answers have other weights, questions or settings")
        if len(cached) == len(questions):
            return cached
        network = model.load()
        reader = self.find_reader(model.fingerprint, network, questions)
        generator = build_generator(network, self.language, reader, self.settings, self.settings.device)
        most, find_limit = generator.fit(questions), self.settings.limits.find_limit
        shorter = [limit for limit, question in zip(most, questions, strict=True) if limit < find_limit(question)]
        if shorter:
            self.console.print(
                f"{title}: {len(shorter)} of {len(questions)} answers are shortened to the {min(shorter)} tokens or "
                f"more that their prompts leave of llm.max_length={self.language.max_length}",
                soft_wrap=True,
            )
        recorded = log.record(cached, generator.answer(questions, len(cached), most))
        quiet = not self.console.is_terminal
        answers = list(track(recorded, title, len(questions), console=self.console, disable=quiet))
        network.to("cpu")  # the model of the next pass may need the memory
        return answers

    def find_reader(
        self, fingerprint: str, network: EagleModel, questions: Sequence[EvalQuestion]
    ) -> Callable[[Path], Tensor]:
        """What gives the image of a path to a model: its visual tokens where all are kept, otherwise its pixels."""
        side = network.image_side if network.experts else 1  # a model without experts reads no image
        reader, images = self.read_images(side), list_images(questions)
        memory = len(images) * network.tokens_per_image * self.language.width * BYTES
        if memory > self.settings.cache_mb * 2**20:
            return reader
        known = self.visual_tokens.get(fingerprint)
        if known is None or not known.group_of.keys() >= set(images):
            known = VisualTokens(network, images, reader, self.settings.batch_size, self.settings.device)
            self.visual_tokens[fingerprint] = known
        return known

    def list_dependencies(self, model: EvaluatedModel, questions: Sequence[EvalQuestion]) -> list[object]:
        """Everything that the answers of a pass depend on, as a JSON-like value."""
        return [
            model.fingerprint,
            self.language.template,
            self.language.max_length,
            self.settings.max_new_tokens,
            self.settings.token_limits,
            self.settings.generate,
            self.settings.seed,
            self.settings.images.shape,
            [repr(question) for question in questions],
        ]


def remove_answer_logs(folder: Path) -> None:
    """Delete the answer logs of a finished evaluation: its predictions hold all answers."""
    for path in folder.glob(f"{LOG_PREFIX}*.jsonl"):
        path.unlink()
