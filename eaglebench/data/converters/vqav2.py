"""VQAv2, val: the questions, their annotations, and COCO's val2014 images."""

from collections.abc import Iterator

from eaglebench.data.converters.base import Record, Source


def convert(source: Source) -> Iterator[Record]:
    """Yield one record per question, with the answers of ten annotators; the category is the answer type."""
    notes = {note["question_id"]: note for note in source.json("v2_mscoco_val2014_annotations.json")["annotations"]}
    for question in source.json("v2_OpenEnded_mscoco_val2014_questions.json")["questions"]:
        note = notes[question["question_id"]]
        yield Record(
            str(question["question_id"]),
            source.image(f"COCO_val2014_{question['image_id']:012}.jpg"),
            question["question"],
            [answer["answer"] for answer in note["answers"]],
            note["answer_type"],
        )
