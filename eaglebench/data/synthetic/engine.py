"""Renders the synthetic world into LLaVA files, once for each set of numbers."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import NamedTuple

from eaglebench.data.synthetic import chart, document, pile, shapes, text
from eaglebench.data.synthetic.drawing import Question
from eaglebench.utils.files import write_text
from eaglebench.utils.hashing import digest

# Raise it whenever a renderer draws or asks something else: rendered folders are reused by these numbers.
VERSION = 11
DIGEST_LENGTH = 12
KINDS = {"shapes": shapes.draw, "pile": pile.draw, "text": text.draw, "document": document.draw, "chart": chart.draw}
FAMILIES = ("attributes", "counting", "position", "area", "text", "chart", "document")


@dataclass(frozen=True)
class World:
    """The numbers that determine every pixel and every question.

    Args:
        train_images: images of the training split, several questions each.
        val_questions: held-out questions of each family, one record each.
        canvas: side of an image in pixels.
        weights: how often each kind of picture is drawn for training.
        seed: of the world; not of the training.
    """

    train_images: int
    val_questions: int
    canvas: int
    weights: dict[str, float]
    seed: int

    def digest(self) -> str:
        """A name for these numbers."""
        return digest([VERSION, asdict(self)], DIGEST_LENGTH)

    def training_digest(self) -> str:
        """A name for what the training split depends on: everything but the number of held-out questions."""
        return digest([VERSION, {**asdict(self), "val_questions": None}], DIGEST_LENGTH)


@dataclass(frozen=True)
class Job:
    """One image to draw: its split, kind and place."""

    split: str
    kind: str
    index: int

    @property
    def name(self) -> str:
        return f"{self.split}-{self.kind}-{self.index:06d}"


def render(world: World, root: Path, workers: int | None = None, tell: Callable[[str], None] = print) -> Path:
    """The folder with `train.json`, `val.json` and `images/`; rendered if it is not there yet.

    No image of the held-out split is also in the training split.
    """
    folder = root / f"synthetic-{world.digest()}"
    if (folder / "val.json").is_file():
        return folder
    tell(f"rendering {world.train_images} training images and the held-out questions into {folder}")
    temporary = root / f".{folder.name}.{os.getpid()}"
    shutil.rmtree(temporary, ignore_errors=True)
    (temporary / "images").mkdir(parents=True)
    try:
        with ProcessPoolExecutor(workers or os.cpu_count(), mp_context=get_context("spawn")) as pool:
            draw = partial(pool.map, partial(draw_file, world, temporary / "images"), chunksize=64)
            jobs = training_jobs(world)
            drawn = list(draw(jobs))
            seen = {drawing.digest for drawing in drawn}
            records = [record(job, drawing.questions) for job, drawing in zip(jobs, drawn, strict=True)]
            write_text(temporary / "train.json", json.dumps(records))
            write_text(temporary / "val.json", json.dumps(held_out(world, draw, seen)))
        try:
            temporary.rename(folder)
        except OSError:
            # Another process rendered the same world meanwhile; its folder holds the same bytes.
            if not (folder / "val.json").is_file():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def training_jobs(world: World) -> list[Job]:
    """The training images, their kinds drawn by weight."""
    rng = Random(f"{world.seed} kinds")
    kinds = rng.choices(list(world.weights), list(world.weights.values()), k=world.train_images)
    return [Job("train", kind, index) for index, kind in enumerate(kinds)]


def held_out(world: World, draw: Callable, seen: set[str]) -> list[dict]:
    """Records with one question each, `val_questions` for every family, of images that are not in `seen`."""
    wanted = {family: world.val_questions for family in FAMILIES}
    records, start = [], 0
    while any(wanted.values()):
        # Each image gives one question, so that the held-out answers are independent of each other.
        kinds = [kind_of(family) for family, missing in wanted.items() for _ in range(missing)]
        jobs = [Job("val", kind, start + index) for index, kind in enumerate(kinds)]
        start += len(jobs)
        for job, drawing in zip(jobs, draw(jobs), strict=True):
            still_wanted = [question for question in drawing.questions if wanted[question.family]]
            if drawing.digest in seen or not still_wanted:
                continue
            question = max(still_wanted, key=lambda question: wanted[question.family])
            seen.add(drawing.digest)
            wanted[question.family] -= 1
            records.append(record(job, [question]))
    return records


def kind_of(family: str) -> str:
    """The kind of picture that a family's questions are about."""
    return {"area": "pile"}.get(family, family if family in KINDS else "shapes")


class Drawing(NamedTuple):
    """What is kept of a drawn image: a digest of its pixels, and its questions."""

    digest: str
    questions: list[Question]


def draw_file(world: World, folder: Path, job: Job) -> Drawing:
    """Draw one image into `folder`."""
    picture = KINDS[job.kind](Random(f"{world.seed} {job.name}"), world.canvas)
    picture.image.save(folder / f"{job.name}.png", compress_level=1)
    return Drawing(hashlib.sha256(picture.image.tobytes()).hexdigest(), picture.questions)


def record(job: Job, asked: list[Question]) -> dict:
    """The LLaVA record of one image."""
    conversation = []
    for position, question in enumerate(asked):
        tag = "<image>\n" if position == 0 else ""
        conversation.append({"from": "human", "value": tag + question.text})
        conversation.append({"from": "gpt", "value": question.answer, "family": question.family})
    return {"id": job.name, "image": f"images/{job.name}.png", "conversations": conversation}
