"""The model that lmms-eval sees: a finished run."""

import os
from collections.abc import Sequence
from pathlib import Path

from lmms_eval.api.instance import Instance
from lmms_eval.api.model import lmms
from PIL import Image
from rich.progress import track

from eaglebench.config.build import build_workshop
from eaglebench.config.schema import device_of
from eaglebench.data.images import square
from eaglebench.data.sample import Sample
from eaglebench.evaluation.generation import Answerer, Question
from eaglebench.integrations.lmms_eval.messages import Generation, conversation, generation
from eaglebench.model.eagle import encoder_of
from eaglebench.runs import load_config, load_model
from eaglebench.utils.console import new_console
from eaglebench.utils.errors import UserError


class EagleBench(lmms):
    """Greedy answers of a finished run, asked in messages: the chat interface, which lmms-eval prefers where both are there.

    Args:
        run: the folder of the run.
        batch_size: questions answered at once.
        device: what answers; the run's own device if not given.
        max_new_tokens: of tasks that do not say; the run's own if not given.

    Raises:
        UserError: the folder is not that of a finished run, or several processes were started.
    """

    is_simple = False

    def __init__(
        self, run: str, batch_size: int | str = 1, device: str | None = None, max_new_tokens: int | None = None
    ) -> None:
        super().__init__()
        if int(os.environ.get("WORLD_SIZE", 1)) > 1:
            raise UserError("a run answers lmms-eval in one process: start one for each task, on devices of their own.")
        if not str(batch_size).isdecimal() or int(batch_size) < 1:
            raise UserError(f"batch_size={batch_size} must be a whole number above 0.")
        config = load_config(run)
        self.model, language = load_model(run, build_workshop(config, trained=True))
        self.encoder, self.tokenizer = encoder_of(self.model, language), language.tokenizer
        self.device = device or device_of(config)
        self.batch_size = int(batch_size)
        self.max_new_tokens = max_new_tokens or int(config.evaluation.max_new_tokens)

    def generate_until(self, requests: list[Instance]) -> list[str]:
        """An answer to each request, in their order. Those of one length are answered together."""
        settings = [self.settings(request) for request in requests]
        batches: list[list[int]] = []
        for length in dict.fromkeys(one.max_new_tokens for one in settings):
            places = [place for place, one in enumerate(settings) if one.max_new_tokens == length]
            batches += [places[start : start + self.batch_size] for start in range(0, len(places), self.batch_size)]
        answers = [""] * len(requests)
        console = new_console()
        for places in track(batches, "answering", console=console, disable=not console.is_terminal):
            given = self.batch([requests[place] for place in places], settings[places[0]].max_new_tokens)
            for place, answer in zip(places, given, strict=True):
                answers[place] = settings[place].cut(answer)
        return answers

    def settings(self, request: Instance) -> Generation:
        """How a request is to be answered."""
        _, _, asked, _, task, _ = request.args
        return generation(task, asked, self.max_new_tokens)

    def batch(self, requests: Sequence[Instance], max_new_tokens: int) -> list[str]:
        """The answers to one batch of requests, as an evaluation of our own gives them."""
        asked: list[Question] = []
        images: dict[Path, Image.Image] = {}
        for request in requests:
            _, doc_to_messages, _, doc_id, task, split = request.args
            name = f"{task}-{doc_id}"
            turns, image = conversation(name, doc_to_messages(self.task_dict[task][split][doc_id]))
            if image is not None:
                images[Path(name)] = image
            asked.append(Question(Sample(name, None if image is None else Path(name), turns), len(turns) - 1))
        answerer = Answerer(
            self.model,
            self.encoder,
            self.tokenizer,
            lambda name: square(images[name], self.model.image_side),
            device=self.device,
            batch_size=len(asked),
            max_new_tokens=max_new_tokens,
        )
        return answerer.batch(asked)

    def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
        """Refused: lmms-eval asks for no likelihoods in its chat interface."""
        raise UserError("a run answers in words: leave out tasks of the type loglikelihood or multiple_choice.")

    def generate_until_multi_round(self, requests: list[Instance]) -> list[str]:
        """Refused: a run has no rounds with tools."""
        raise UserError("a run answers once: leave out tasks of the type generate_until_multi_round.")
