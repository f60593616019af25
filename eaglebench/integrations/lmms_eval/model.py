"""A finished run as a model of lmms-eval."""

import os
from collections.abc import Sequence
from pathlib import Path

from lmms_eval.api.instance import Instance
from lmms_eval.api.model import lmms
from rich.progress import track

from eaglebench.config.build import load_trained_model
from eaglebench.config.build_data import build_image_settings
from eaglebench.config.read import read_config
from eaglebench.data.images import load_image
from eaglebench.data.open_image import ImageSource
from eaglebench.data.sample import Sample
from eaglebench.evaluation.answer_room import AnswerLimits
from eaglebench.evaluation.generation import AnswerGenerator
from eaglebench.evaluation.questions import EvalQuestion
from eaglebench.integrations.lmms_eval.messages import GenerationLimits, parse_conversation, parse_generation
from eaglebench.model.eagle import build_encoder
from eaglebench.runs import check_run_folder, read_run_config
from eaglebench.utils.console import new_console
from eaglebench.utils.errors import UserError


class EagleBench(lmms):  # type: ignore[misc]  # lmms-eval is untyped
    """Greedy answers of a finished run, through the chat interface of lmms-eval.

    Args:
        run: the run folder.
        batch_size: questions that are answered at once.
        device: where answers are generated; None: the run's own device.
        max_new_tokens: most tokens of an answer, for tasks that set no limit; None: the run's own limit.
        plugins: modules of the user's own whose classes the run may name, with + between them.

    Raises:
        UserError: the folder is not that of a finished run of this version, the batch size is no whole number above 0,
            or several processes were started.
    """

    is_simple = False

    def __init__(
        self,
        run: str,
        batch_size: int | str = 1,
        device: str | None = None,
        max_new_tokens: int | None = None,
        plugins: str = "",
    ) -> None:
        super().__init__()
        if int(os.environ.get("WORLD_SIZE", 1)) > 1:
            raise UserError("a run answers lmms-eval in one process: start one for each task, on devices of their own.")
        if not str(batch_size).isdecimal() or int(batch_size) < 1:
            raise UserError(f"batch_size={batch_size} must be a whole number above 0.")
        folder = Path(run)
        check_run_folder(folder)
        config = read_config(read_run_config(folder), plugins.split("+") if plugins else ())
        self.model, language = load_trained_model(config, folder)
        self.encoder, self.tokenizer = build_encoder(self.model, language), language.tokenizer
        self.images = build_image_settings(config.data)
        self.device = device or config.trainer.device
        self.batch_size = int(batch_size)
        self.max_new_tokens = max_new_tokens or config.evaluation.max_new_tokens

    def generate_until(self, requests: list[Instance]) -> list[str]:
        """The answers to all requests, in their order; requests of one token limit are answered together.

        Raises:
            UserError: a request asks for what a run cannot do, or its prompt fills the context of the language model.
        """
        limits = [self.parse_limits(request) for request in requests]
        most = self.fit_answers(requests, [one.max_new_tokens for one in limits])
        batches: list[list[int]] = []
        for max_new_tokens in dict.fromkeys(most):
            indices = [index for index, own in enumerate(most) if own == max_new_tokens]
            batches += [indices[start : start + self.batch_size] for start in range(0, len(indices), self.batch_size)]
        answers = [""] * len(requests)
        console = new_console()
        for indices in track(batches, "answering", console=console, disable=not console.is_terminal):
            batch = self.answer_batch([requests[index] for index in indices], most[indices[0]])
            for index, answer in zip(indices, batch, strict=True):
                answers[index] = limits[index].truncate(answer)
        return answers

    def parse_limits(self, request: Instance) -> GenerationLimits:
        """Where the answer to a request ends.

        Raises:
            UserError: the request asks for answers that are not greedy.
        """
        _, _, settings, _, task, _ = request.args
        return parse_generation(task, settings, self.max_new_tokens)

    def fit_answers(self, requests: Sequence[Instance], wanted: Sequence[int]) -> list[int]:
        """The most new tokens of each answer: those that its task wants, or the fewer that its prompt leaves.

        Raises:
            UserError: a prompt fills the context.
        """
        questions = [self.read_question(request)[0] for request in requests]
        most = [0] * len(questions)
        for tokens in dict.fromkeys(wanted):
            indices = [index for index, own in enumerate(wanted) if own == tokens]
            limits = AnswerLimits(tokens, overlong="shorten_answer")
            fitting = limits.fit([questions[index] for index in indices], self.encoder)
            for index, fit in zip(indices, fitting, strict=True):
                most[index] = fit
        return most

    def read_question(self, request: Instance) -> tuple[EvalQuestion, ImageSource | None]:
        """The question of a request, with its image.

        Raises:
            UserError: it has more than one image, or other media.
        """
        _, doc_to_messages, _, doc_id, task, split = request.args
        name = f"{task}-{doc_id}"
        messages = doc_to_messages(self.task_dict[task][split][doc_id])
        turns, image = parse_conversation(name, messages)
        return EvalQuestion(Sample(name, None if image is None else Path(name), turns), len(turns) - 1), image

    def answer_batch(self, requests: Sequence[Instance], max_new_tokens: int) -> list[str]:
        """The answers to one batch of requests, generated as in our own evaluation.

        Raises:
            UserError: a request has more than one image, one that cannot be read, or other media.
        """
        questions: list[EvalQuestion] = []
        images: dict[Path, ImageSource] = {}
        for request in requests:
            question, image = self.read_question(request)
            if image is not None:
                images[Path(question.sample.id)] = image
            questions.append(question)
        generator = AnswerGenerator(
            self.model,
            self.encoder,
            self.tokenizer,
            lambda name: load_image(images[name], self.model.image_side, self.images),
            device=self.device,
            batch_size=len(questions),
            limits=AnswerLimits(max_new_tokens),
        )
        return generator.answer_batch(questions, max_new_tokens)

    def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
        """Refused: the chat interface has no likelihoods.

        Raises:
            UserError: always.
        """
        raise UserError("a run answers in words: leave out tasks of the type loglikelihood or multiple_choice.")

    def generate_until_multi_round(self, requests: list[Instance]) -> list[str]:
        """Refused: a run answers without rounds of tool use.

        Raises:
            UserError: always.
        """
        raise UserError("a run answers once: leave out tasks of the type generate_until_multi_round.")
