"""Each benchmark as its makers give it out, read back through the benchmark file that it becomes."""

import base64
import csv
import json
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pyarrow import Table, parquet

from eaglebench.data.benchmark import read_benchmark
from eaglebench.data.converters import CONVERTERS
from eaglebench.data.converters.base import Source, write_records
from eaglebench.data.sample import Sample
from eaglebench.evaluation.benchmarks import BENCHMARKS, EAGLE11
from eaglebench.evaluation.metrics import METRICS
from eaglebench.utils.errors import UserError

SIDE = 64


class Makers:
    """A folder that is filled as the makers of a benchmark do it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "source"
        self.to = folder / "out" / "bench.jsonl"

    def write(self, name: str, content: str | bytes) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)

    def json(self, name: str, content: Any) -> None:
        self.write(name, json.dumps(content))

    def lines(self, name: str, *records: Any) -> None:
        self.write(name, "".join(json.dumps(record) + "\n" for record in records))

    def images(self, *names: str) -> None:
        for name in names:
            self.write(name, png())

    def converted(self, name: str) -> list[Sample]:
        """The samples of the benchmark file that the folder becomes; the reference answers must score 1."""
        write_records(CONVERTERS[name](Source(self.folder)), self.to)
        samples = read_benchmark(self.to, name, checked=self.to.parent)
        for turn in (sample.turns[0] for sample in samples):
            assert METRICS[BENCHMARKS[name].metric_of(turn.meta["category"])](turn.answer, turn.references) == 1
        return samples


@pytest.fixture
def makers(tmp_path: Path) -> Makers:
    return Makers(tmp_path)


def png(colour: str = "red") -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (SIDE, SIDE), colour).save(buffer, "PNG")
    return buffer.getvalue()


def shown(sample: Sample) -> tuple[str, str | None, str, tuple[str, ...], str | None]:
    """Id, name of the image, question, references and category."""
    turn = sample.turns[0]
    image = None if sample.image is None else sample.image.name
    return sample.id, image, turn.question, turn.references, turn.meta["category"]


def test_every_benchmark_can_be_converted() -> None:
    assert set(EAGLE11) <= set(CONVERTERS) == set(BENCHMARKS)


def test_gqa(makers: Makers) -> None:
    question = {"question": "Is it red?", "imageId": "n1", "answer": "yes", "fullAnswer": "Yes, it is red."}
    makers.json("questions/testdev_balanced_questions.json", {"201": question})
    makers.images("images/n1.jpg", "images/n2.jpg")
    (sample,) = makers.converted("gqa")
    assert shown(sample) == ("201", "n1.jpg", "Is it red?", ("yes",), None)
    assert sample.image == (makers.folder / "images/n1.jpg").resolve()  # where it was, not a copy


def test_vizwiz(makers: Makers) -> None:
    answers = [{"answer": "basil", "answer_confidence": "yes"}] * 9 + [{"answer": "herb", "answer_confidence": "no"}]
    question = {
        "image": "VizWiz_val_7.jpg",
        "question": "What?",
        "answers": answers,
        "answer_type": "other",
        "answerable": 1,
    }
    makers.json("Annotations/val.json", [question])
    makers.json("Annotations/train.json", [])
    makers.images("val/VizWiz_val_7.jpg")
    (sample,) = makers.converted("vizwiz")
    assert shown(sample) == ("VizWiz_val_7", "VizWiz_val_7.jpg", "What?", ("basil",) * 9 + ("herb",), "other")


def test_mme(makers: Makers) -> None:
    makers.write("README.txt", "Read me.")
    for folder, image in (("count", "count/7.jpg"), ("artwork", "artwork/images/7.jpg")):
        text = "count/7.txt" if folder == "count" else "artwork/questions_answers_YN/7.txt"
        makers.images(image)
        makers.write(text, "Is it one? Please answer yes or no.\tYes\nIs it two? Please answer yes or no.\tNo\n")
    samples = makers.converted("mme")
    assert sorted(map(shown, samples)) == [
        (f"{folder}/7-{number}", "7.jpg", question, (answer,), folder)
        for folder in ("artwork", "count")
        for number, (question, answer) in enumerate([("Is it one?", "Yes"), ("Is it two?", "No")])
    ]
    rows = [{"score": 1.0, "meta": sample.turns[0].meta} for sample in samples]
    assert BENCHMARKS["mme"].figure(rows) == 400.0  # the images of two categories are not taken for one


def test_mme_needs_two_questions_an_image(makers: Makers) -> None:
    makers.images("count/7.jpg")
    makers.write("count/7.txt", "Is it one?\tYes\n")
    with pytest.raises(UserError, match="must hold two lines"):
        makers.converted("mme")


def test_seed(makers: Makers) -> None:
    options = {f"choice_{letter}": text for letter, text in zip("abcd", ["one", "two", "three", "four"], strict=True)}
    image = {
        "question_id": "9",
        "data_type": "image",
        "data_id": "15_20",
        "question": "How many?",
        "answer": "C",
        "question_type_id": 5,
    }
    video = image | {"question_id": "10", "data_type": "video", "data_id": "v.mp4"}
    makers.json(
        "SEED-Bench.json", {"question_type": {"Instances Counting": 5}, "questions": [image | options, video | options]}
    )
    makers.images("SEED-Bench-image/15_20")
    (sample,) = makers.converted("seed")
    asked = "How many?\nA. one\nB. two\nC. three\nD. four"
    assert shown(sample) == ("9", "15_20", asked, ("C", "three"), "Instances Counting")


def test_ocrbench(makers: Makers) -> None:
    formula = "Handwritten Mathematical Expression Recognition"
    questions = [
        {"id": 0, "dataset_name": "IIIT5K", "image_path": "IIIT5K/test/1.png", "question": "what?", "answers": "CENTRE", "type": "Regular Text Recognition"},
        {"id": 1, "dataset_name": "HME100k", "image_path": "HME100k/test/1.png", "question": "latex", "answers": ["x + 2"], "type": formula},
    ]  # fmt: skip
    makers.json("OCRBench/OCRBench.json", questions)
    makers.images("IIIT5K/test/1.png", "HME100k/test/1.png")
    first, second = makers.converted("ocrbench")
    assert shown(first) == ("0", "1.png", "what?", ("CENTRE",), "Regular Text Recognition")
    assert shown(second) == ("1", "1.png", "latex", ("x + 2",), formula)
    assert first.image != second.image


@pytest.mark.parametrize(
    ("name", "file", "image"),
    [
        ("docvqa", "val_v1.0_withQT.json", {"image": "documents/p_1.png"}),
        ("docvqa", "val_v1.0.json", {"image": "documents/p_1.png"}),
        ("infovqa", "infographicsVQA_val_v1.0_withQT.json", {"image_local_name": "p_1.png"}),
    ],
)
def test_docvqa_and_infovqa(makers: Makers, name: str, file: str, image: dict[str, str]) -> None:
    question = {"questionId": 337, "question": "Which date?", "answers": ["8 May", "May 8"], "docId": 2, **image}
    makers.json(file, {"dataset_name": "x", "dataset_split": "val", "data": [question]})
    makers.images("documents/p_1.png")
    (sample,) = makers.converted(name)
    assert shown(sample) == ("337", "p_1.png", "Which date?", ("8 May", "May 8"), None)


def test_chartqa(makers: Makers) -> None:
    makers.json("test/test_human.json", [{"imgname": "7.png", "query": "How many?", "label": "14"}])
    makers.json("test/test_augmented.json", [{"imgname": "7.png", "query": "Which?", "label": "Mali"}])
    makers.images("test/png/7.png", "train/png/7.png")
    human, augmented = makers.converted("chartqa")
    assert shown(human) == ("human-0", "7.png", "How many?", ("14",), "human")
    assert shown(augmented) == ("augmented-0", "7.png", "Which?", ("Mali",), "augmented")
    assert human.image == (makers.folder / "test/png/7.png").resolve()


def test_ai2d_draws_the_labels_that_its_questions_speak_of(makers: Makers) -> None:
    def question(identity: str, labelled: bool) -> dict[str, Any]:
        return {
            "abcLabel": labelled,
            "answerTexts": ["ears", "nose", "face"],
            "correctAnswer": 1,
            "questionId": identity,
        }

    makers.write("ai2d_test_ids.csv", "0\n3\n")
    makers.json("questions/0.png.json", {"imageName": "0.png", "questions": {"What is A?": question("0.png-0", True)}})
    makers.json(
        "questions/1.png.json", {"imageName": "1.png", "questions": {"Of the training?": question("1.png-0", False)}}
    )
    makers.json("questions/3.png.json", {"imageName": "3.png", "questions": {"What eats?": question("3.png-0", False)}})
    word = {"id": "T0", "rectangle": [[8, 8], [40, 32]], "replacementText": "A", "value": "nose"}
    makers.json("annotations/0.png.json", {"text": {"T0": word}})
    makers.images("images/0.png", "images/1.png", "images/3.png")
    labelled, plain = makers.converted("ai2d")
    options = "\nA. ears\nB. nose\nC. face"
    assert shown(labelled) == ("0.png-0", "0.png", "What is A?" + options, ("B", "nose"), "labels")
    assert shown(plain) == ("3.png-0", "3.png", "What eats?" + options, ("B", "nose"), "diagram")
    assert plain.image == (makers.folder / "images/3.png").resolve()
    with Image.open(labelled.image) as drawn:
        assert drawn.size == (SIDE, SIDE)
        assert drawn.getpixel((10, 10)) == (255, 255, 255)  # the box
        assert drawn.getpixel((50, 50)) == (255, 0, 0)  # the rest of the diagram
        inside = drawn.crop((9, 9, 40, 32)).convert("L")
    assert inside.getextrema()[0] < 64  # the letter


def test_pope(makers: Makers) -> None:
    for category in ("random", "popular", "adversarial"):
        question = {"question_id": 1, "image": "COCO_val2014_7.jpg", "text": "Is there a dog?", "label": "no"}
        makers.lines(f"coco/coco_pope_{category}.json", question)
    makers.images("val2014/COCO_val2014_7.jpg")
    samples = makers.converted("pope")
    assert [shown(sample) for sample in samples] == [
        (f"{category}-1", "COCO_val2014_7.jpg", "Is there a dog?", ("no",), category)
        for category in ("random", "popular", "adversarial")
    ]


def test_realworldqa(makers: Makers) -> None:
    makers.lines(
        "annotations.jsonl",
        {"image": "0.webp", "question": "Which?\nA. left\nB. right\nJust the letter.", "answer": "B"},
    )
    makers.images("images/0.webp")
    (sample,) = makers.converted("realworldqa")
    assert shown(sample) == ("0", "0.webp", "Which?\nA. left\nB. right\nJust the letter.", ("B",), None)


def test_scienceqa(makers: Makers) -> None:
    problem = {
        "question": "Which?",
        "choices": ["Peru", "Chad"],
        "answer": 1,
        "hint": "A map.",
        "image": "image.png",
        "subject": "social science",
    }
    problems = {"4": problem, "5": problem | {"image": None}, "6": problem, "7": problem | {"hint": ""}}
    makers.json("problems.json", problems)
    makers.json("pid_splits.json", {"train": ["6"], "test": ["4", "5", "7"]})
    makers.images("images/test/4/image.png", "images/test/7/image.png", "images/train/4/image.png")
    first, second = makers.converted("scienceqa")
    assert shown(first) == (
        "4",
        "image.png",
        "Context: A map.\nWhich?\nA. Peru\nB. Chad",
        ("B", "Chad"),
        "social science",
    )
    assert first.image == (makers.folder / "images/test/4/image.png").resolve()
    assert second.turns[0].question == "Which?\nA. Peru\nB. Chad"


def test_vqav2(makers: Makers) -> None:
    makers.json(
        "v2_OpenEnded_mscoco_val2014_questions.json",
        {"questions": [{"image_id": 42, "question": "Where?", "question_id": 420}]},
    )
    note = {
        "question_id": 420,
        "image_id": 42,
        "answer_type": "other",
        "answers": [{"answer": "net", "answer_id": n} for n in range(10)],
    }
    makers.json("v2_mscoco_val2014_annotations.json", {"annotations": [note]})
    makers.images("val2014/COCO_val2014_000000000042.jpg")
    (sample,) = makers.converted("vqav2")
    assert shown(sample) == ("420", "COCO_val2014_000000000042.jpg", "Where?", ("net",) * 10, "other")


def test_textvqa(makers: Makers) -> None:
    question = {
        "question_id": 34602,
        "image_id": "003a8",
        "question": "what brand?",
        "answers": ["dakota"] * 9 + [""],
        "set_name": "val",
    }
    makers.json("TextVQA_0.5.1_val.json", {"dataset_type": "val", "data": [question]})
    makers.images("train_images/003a8.jpg")
    (sample,) = makers.converted("textvqa")
    assert shown(sample) == ("34602", "003a8.jpg", "what brand?", ("dakota",) * 9 + ("",), None)


def test_mmbench(makers: Makers) -> None:
    image = base64.b64encode(png()).decode()
    rows = [
        {"index": "241", "question": "Which?", "hint": "Look.", "A": "left", "B": "right", "C": "", "D": "", "answer": "A", "category": "x", "image": image},
        {"index": "1000241", "question": "And?", "hint": "", "A": "left", "B": "right", "C": "up", "D": "", "answer": "C", "category": "y", "image": "241"},
    ]  # fmt: skip
    makers.folder.mkdir()
    with (makers.folder / "mmbench_dev_en_20231003.tsv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter="\t")
        writer.writeheader()
        writer.writerows(rows)
    first, second = makers.converted("mmbench")
    assert shown(first) == ("241", "241.jpg", "Look.\nWhich?\nA. left\nB. right", ("A", "left"), "x")
    assert shown(second) == ("1000241", "241.jpg", "And?\nA. left\nB. right\nC. up", ("C", "up"), "y")
    assert first.image is not None
    assert first.image.read_bytes() == png()


def test_mmmu(makers: Makers) -> None:
    """Several images of a question stand side by side, in their order."""
    none = dict.fromkeys(f"image_{place}" for place in range(1, 8))
    red, blue = ({"bytes": png(colour), "path": None} for colour in ("red", "blue"))
    rows = [
        none
        | {
            "id": "validation_Computer_Science_12",
            "question": "<image 1> or <image 2>?",
            "options": "['one', \"it's two\"]",
        }
        | {"answer": "B", "image_1": red, "image_2": blue},
        none
        | {
            "id": "validation_Art_1",
            "question": "How many in <image 1>?",
            "options": "[]",
            "answer": "3",
            "image_1": red,
        },
        none
        | {
            "id": "validation_Art_2",
            "question": "What?",
            "options": "[]",
            "answer": "['24/7', '3.429']",
            "image_1": red,
        },
    ]
    (makers.folder / "Art").mkdir(parents=True)
    parquet.write_table(Table.from_pylist(rows), makers.folder / "Art" / "validation-00000-of-00001.parquet")
    parquet.write_table(Table.from_pylist(rows), makers.folder / "Art" / "dev-00000-of-00001.parquet")
    first, second, third = makers.converted("mmmu")
    assert shown(first) == (
        "validation_Computer_Science_12",
        "validation_Computer_Science_12.png",
        "<image 1> or <image 2>?\nA. one\nB. it's two",
        ("B", "it's two"),
        "Computer_Science",
    )
    assert first.image is not None
    with Image.open(first.image) as image:
        assert image.size == (2 * SIDE + 16, SIDE)
        assert [image.getpixel((x, 0)) for x in (0, SIDE, 2 * SIDE)] == [(255, 0, 0), (255,) * 3, (0, 0, 255)]
    assert shown(second)[3:] == (("3",), "Art")
    assert third.turns[0].references == ("24/7", "3.429")


def test_mmmu_without_its_library_says_what_to_install(makers: Makers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    makers.write("validation-1.parquet", b"")
    with pytest.raises(UserError, match="pip install 'eaglebench\\[parquet\\]'"):
        makers.converted("mmmu")


def test_mathvista(makers: Makers) -> None:
    free = {
        "question": "How high?",
        "image": "images/1.jpg",
        "choices": None,
        "answer": "1.2",
        "query": "Hint: a number.\nQuestion: How high?",
        "metadata": {"task": "textbook"},
    }
    choice = free | {
        "choices": ["No", "Yes"],
        "answer": "Yes",
        "query": "Hint: the letter.\nQuestion: Is it?\nChoices:\n(A) No\n(B) Yes",
    }
    makers.json("testmini.json", {"1": free, "2": choice})
    makers.images("images/1.jpg")
    first, second = makers.converted("mathvista")
    assert shown(first) == ("1", "1.jpg", "Hint: a number.\nQuestion: How high?", ("1.2",), "textbook")
    assert shown(second)[3] == ("B", "Yes")


def test_mmvp(makers: Makers) -> None:
    makers.write(
        "Questions.csv",
        "Index,Question,Options,Correct Answer\n1,Is it open?,(a) Open (b) Closed,(a)\n2,Is it open?,(a) Open (b) Closed,(b)\n3,How many?,(a) 1; 2 (b) 3,(b)\n",
    )
    makers.images("MMVP Images/1.jpg", "MMVP Images/2.jpg", "MMVP Images/3.jpg")
    samples = makers.converted("mmvp")
    assert shown(samples[0]) == ("1", "1.jpg", "Is it open?\nA. Open\nB. Closed", ("A", "Open"), "pair 1")
    assert shown(samples[1]) == ("2", "2.jpg", "Is it open?\nA. Open\nB. Closed", ("B", "Closed"), "pair 1")
    assert shown(samples[2]) == ("3", "3.jpg", "How many?\nA. 1; 2\nB. 3", ("B", "3"), "pair 2")
