"""MathVista, testmini: `testmini.json` and the images."""

from collections.abc import Iterator

from eaglebench.data.converters.base import Record, Source, letter


def convert(source: Source) -> Iterator[Record]:
    """Yield one record per problem, whose official query has options and instruction; the category is its task."""
    for identity, problem in source.json("testmini.json").items():
        answer, choices = problem["answer"], problem["choices"] or []
        answers = [letter(choices.index(answer)), answer] if choices else [answer]
        yield Record(identity, source.image(problem["image"]), problem["query"], answers, problem["metadata"]["task"])
