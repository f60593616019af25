"""ScienceQA-IMG, test: `problems.json`, `pid_splits.json` and the images in `test/ID/`."""

from collections.abc import Iterator

from eaglebench.data.converters.base import Record, Source, letter


def convert(source: Source) -> Iterator[Record]:
    """One record a problem that has an image, its hint before the question and its subject as the category."""
    problems = source.json("problems.json")
    for identity in source.json("pid_splits.json")["test"]:
        problem = problems[identity]
        if problem["image"]:
            hint = f"Context: {problem['hint']}\n" if problem["hint"] else ""
            yield Record(
                identity,
                source.image(f"test/{identity}/{problem['image']}"),
                hint + problem["question"],
                [letter(problem["answer"])],
                problem["subject"],
                problem["choices"],
            )
