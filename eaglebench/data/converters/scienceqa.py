"""ScienceQA-IMG, test: `problems.json`, `pid_splits.json` and the images in `test/ID/`."""

from collections.abc import Iterator

from eaglebench.data.converters.base import Record, Source, letter


def convert(source: Source) -> Iterator[Record]:
    """Yield one record per test problem with an image; a hint precedes the question, the category is the subject."""
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
