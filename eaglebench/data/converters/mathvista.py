"""MathVista, testmini: `testmini.json` and the images."""

from collections.abc import Iterator

from eaglebench.data.converters.base import Record, Source, letter


def convert(source: Source) -> Iterator[Record]:
    """One record a problem as its makers ask it, options and instruction included, with its task as the category."""
    for identity, problem in source.json("testmini.json").items():
        answer, choices = problem["answer"], problem["choices"] or []
        answers = [letter(choices.index(answer)), answer] if choices else [answer]
        yield Record(identity, source.image(problem["image"]), problem["query"], answers, problem["metadata"]["task"])
