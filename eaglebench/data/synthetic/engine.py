"""Renders the synthetic world into LLaVA files, once for each set of numbers."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from eaglebench.data.synthetic import chart, compositions, document, overlap, shapes, text
from eaglebench.data.synthetic.drawing import SceneQuestion
from eaglebench.data.synthetic.transcription import write_slots, write_transcription
from eaglebench.utils.errors import UserError
from eaglebench.utils.files import write_text
from eaglebench.utils.hashing import hash_json
from eaglebench.utils.processes import start_worker, without_main
from eaglebench.utils.temporary import clear_leftovers_once, remove_folder, temporary_folder

# Raise it whenever a renderer draws or asks something else: rendered folders are reused by these numbers.
VERSION = 14
DIGEST_LENGTH = 12
# The names are part of seed strings and decide pixels.
KINDS = {"shapes": shapes.draw, "pile": overlap.draw, "text": text.draw, "document": document.draw, "chart": chart.draw}
COMPOSITION = "composition"
HELD_OUT = ("val", "test", COMPOSITION)  # splits, in the order in which they are rendered
FILES = ("train.json", "captions.json", "slots.json", *(f"{split}.json" for split in HELD_OUT))  # of a rendered world
COMPOSITION_SHARE = 3  # its questions are a third of those of another split
FAMILIES = ("attributes", "counting", "position", "area", "text", "chart", "document")


@dataclass(frozen=True)
class World:
    """The numbers that determine every pixel and every question.

    Attributes:
        train_images: number of training images, each with several questions and a caption.
        val_questions: number of questions per family of each held-out split, each a record of its own.
        canvas: side of an image in pixels.
        mixture: relative frequency of each kind of scene among the training images.
        seed: seed of the world, independent of the training's.
    """

    train_images: int
    val_questions: int
    canvas: int
    mixture: dict[str, float]
    seed: int

    def digest(self) -> str:
        """Hash of these numbers and of the renderers' version."""
        return hash_json([VERSION, asdict(self)], DIGEST_LENGTH)

    def training_digest(self) -> str:
        """Hash of what the training images depend on: everything but the number of held-out questions."""
        return hash_json([VERSION, {**asdict(self), "val_questions": None}], DIGEST_LENGTH)


@dataclass(frozen=True)
class RenderJob:
    """One image to render.

    Attributes:
        split: `train`, or one of `HELD_OUT`.
        kind: a key of `KINDS`.
        index: number of the image, unique within its split.
        family: of the question that a held-out image is for; None: all questions are asked.
    """

    split: str
    kind: str
    index: int
    family: str | None = None

    @property
    def name(self) -> str:
        """Stem of the image file, id of its record and part of its seed."""
        return f"{self.split}-{self.kind}-{self.index:06d}"


class Rendered(NamedTuple):
    """What is kept of a rendered image: a hash of its pixels, its questions, its transcription and its slots."""

    digest: str
    questions: list[SceneQuestion]
    caption: str = ""
    slots: str = ""


# Renders images and returns what is kept of each, in order.
Render = Callable[[Sequence[RenderJob]], Iterable[Rendered]]


def render_world(world: World, root: Path, workers: int | None = None, log: Callable[[str], None] = print) -> Path:
    """Render a world into a folder, unless it is there already.

    The folder has `images/` and LLaVA files. Of the training images, `train.json` has the questions, `captions.json`
    the transcriptions and `slots.json` the words of each cell. `val.json` is to choose by, and `test.json` to report
    on what was chosen. `composition.json` asks for what the other splits never show together (see `compositions`).
    No image is in two splits. Several processes may render the same world at once.

    Args:
        world: the numbers that determine it.
        root: the folder that holds rendered worlds.
        workers: number of processes; None: one per CPU core.
        log: called with a message when rendering starts.

    Returns:
        The folder of the rendered world, in `root`.

    Raises:
        UserError: a process that renders was killed.
    """
    folder = root / f"synthetic-{world.digest()}"
    clear_leftovers_once(root)
    if is_rendered(folder):
        return folder
    log(f"rendering {world.train_images} training images and the held-out questions into {folder}")
    with temporary_folder(folder) as temporary:
        try:
            render_into(temporary, world, workers or os.cpu_count() or 1)
        except BrokenProcessPool as error:
            raise UserError(
                "a process that renders images was killed, as Linux does when memory runs out: the same command "
                "renders them again."
            ) from error
        try:
            temporary.rename(folder)
        except OSError:
            # Another process rendered the same world meanwhile; its folder holds the same bytes.
            if not is_rendered(folder):
                log(f"{folder} is incomplete, and is replaced")
                remove_folder(folder)
                temporary.rename(folder)
    return folder


def is_rendered(folder: Path) -> bool:
    """Whether a folder has all files of a world."""
    return all((folder / name).is_file() for name in FILES)


def render_into(folder: Path, world: World, workers: int) -> None:
    """Render a world into an empty folder with so many processes."""
    (folder / "images").mkdir()
    with without_main(), ProcessPoolExecutor(workers, get_context("spawn"), start_worker) as pool:
        render = partial(pool.map, partial(render_file, world, folder / "images"), chunksize=64)
        jobs = list_training_jobs(world)
        rendered = list(render(jobs))
        seen = {one.digest for one in rendered}
        records = [to_record(job, one.questions) for job, one in zip(jobs, rendered, strict=True)]
        write_text(folder / "train.json", json.dumps(records))
        for name, texts in (
            ("captions", [one.caption for one in rendered]),
            ("slots", [one.slots for one in rendered]),
        ):
            answers = [SceneQuestion("", text, name, name) for text in texts]
            described = [to_record(job, [answer]) for job, answer in zip(jobs, answers, strict=True)]
            write_text(folder / f"{name}.json", json.dumps(described))
        for split in HELD_OUT:
            write_text(folder / f"{split}.json", json.dumps(render_held_out_records(world, split, render, seen)))


def list_training_jobs(world: World) -> list[RenderJob]:
    """The training images, with kinds drawn from the mixture."""
    rng = Random(f"{world.seed} kinds")
    kinds = rng.choices(list(world.mixture), list(world.mixture.values()), k=world.train_images)
    return [RenderJob("train", kind, index) for index, kind in enumerate(kinds)]


def render_held_out_records(world: World, split: str, render: Render, seen: set[str]) -> list[dict[str, Any]]:
    """Render images until each family has all its questions, and return a LLaVA record for each question.

    Each image contributes one question, so that the answers are independent of each other. Its family is settled before
    the image is drawn, and the question is any of that family: the mix of questions is that of the training images.

    Args:
        world: the world.
        split: its name, part of the seeds.
        render: renders images.
        seen: hashes of images that may not be used; hashes of the used ones are added.
    """
    if split == COMPOSITION:
        missing = dict.fromkeys(compositions.FAMILIES, -(-world.val_questions // COMPOSITION_SHARE))
    else:
        missing = dict.fromkeys(FAMILIES, world.val_questions)
    records: list[dict[str, Any]] = []
    start = 0
    while any(missing.values()):
        families = [family for family, count in missing.items() for _ in range(count)]
        jobs = [RenderJob(split, kind_of(family), start + index, family) for index, family in enumerate(families)]
        start += len(jobs)
        for job, rendered in zip(jobs, render(jobs), strict=True):
            usable = [question for question in rendered.questions if question.family == job.family]
            if rendered.digest in seen or not usable:
                continue
            question = Random(f"{world.seed} {job.name} question").choice(usable)
            seen.add(rendered.digest)
            missing[question.family] -= 1
            records.append(to_record(job, [question]))
    return records


def kind_of(family: str) -> str:
    """The kind of scene that has questions of a family."""
    return {"area": "pile"}.get(family, family if family in KINDS else "shapes")


def render_file(world: World, folder: Path, job: RenderJob) -> Rendered:
    """Render one image into a PNG file in `folder`."""
    draw = compositions.draw_unseen if job.split == COMPOSITION else compositions.draw_seen
    scene = draw(KINDS[job.kind], Random(f"{world.seed} {job.name}"), world.canvas)
    if job.kind == "pile":
        scene.questions = overlap.balance_questions(Random(f"{world.seed} {job.name} questions"), scene)
    scene.image.save(folder / f"{job.name}.png", compress_level=1)
    digest = hashlib.sha256(scene.image.tobytes()).hexdigest()
    return Rendered(digest, scene.questions, write_transcription(scene), write_slots(scene))


def to_record(job: RenderJob, questions: Sequence[SceneQuestion]) -> dict[str, Any]:
    """The LLaVA record of one image with some of its questions."""
    conversation = []
    for position, question in enumerate(questions):
        tag = "<image>\n" if position == 0 else ""
        conversation.append({"from": "human", "value": tag + question.text})
        conversation.append({"from": "gpt", "value": question.answer, "family": question.family, "type": question.type})
    return {"id": job.name, "image": f"images/{job.name}.png", "conversations": conversation}
