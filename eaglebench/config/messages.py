"""From what pydantic finds wrong to one sentence: the field, its value, what it must be, the nearest known name."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rapidfuzz.fuzz import ratio
from rapidfuzz.process import extract
from rapidfuzz.utils import default_process

from eaglebench.utils.quoting import list_first

NEAR = 60.0  # similarity, of 100, from which a name is offered as what was meant
OFFERED = 3
LISTED = 3  # fields of the same name that a sentence names


def written(value: Any) -> str:
    """A value as it is written on the command line."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {written(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(written(inner) for inner in value) + "]"
    return str(value)


def join_choices(names: Sequence[str]) -> str:
    """`a`, `a or b`, `a, b or c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """The known names that a misspelt one may stand for, the most similar first."""
    found = extract(name, list(known), scorer=ratio, processor=default_process, limit=OFFERED, score_cutoff=NEAR)
    best = found[0][1] if found else 0.0
    return [choice for choice, score, _ in found if score >= best - 5]


def namesakes(path: str, fields: Iterable[str]) -> str | None:
    """The sentence about a field that there is not, where fields of its name are elsewhere; None if there are none.

    Args:
        path: its dotted path.
        fields: the dotted paths of all fields that there are.
    """
    name = path.rpartition(".")[2]
    if not (same := [field for field in fields if field.rpartition(".")[2] == name and field != path]):
        return None
    return f"{path} is unknown: there is {list_first(same, LISTED)}."


def not_set(path: str) -> str:
    """The sentence about a field that must be given and is not."""
    return f"{path} is not set: its file in conf/ says what it takes; give {path}=VALUE."


def set_by_file(path: str, value: object) -> str:
    """The sentence about a field that the user alone may set, and a file of the configuration sets."""
    return f"a file of the configuration sets {path}={value}: say it on the command line instead."


def unknown(path: str, known: Iterable[str]) -> str:
    """The sentence about a field that there is not.

    Args:
        path: its dotted path.
        known: the fields at its place; no path.
    """
    parent, _, name = path.rpartition(".")
    names = sorted(map(str, known))
    prefix = f"{parent}." if parent else ""
    if near := nearest(name, names):
        return f"{path} is unknown: did you mean {join_choices([prefix + one for one in near])}?"
    if len(names) > 30 or not names:
        return f"{path} is unknown."
    return f"{path} is unknown: {parent or 'the configuration'} has {', '.join(names)}."


def describe(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """What a JSON schema allows, in words: `a whole number above 0`, `true or false`, `one of a, b`."""
    if "$ref" in schema:
        schema = definitions[schema["$ref"].rpartition("/")[2]]
    for several in ("anyOf", "oneOf"):
        if several in schema:
            kinds = sorted(
                (describe(one, definitions) for one in schema[several]), key=lambda words: (words == "null", words)
            )
            return join_choices(list(dict.fromkeys(kinds)))
    if "enum" in schema:
        return f"one of {', '.join(written(one) for one in schema['enum'])}"
    if "const" in schema:
        return written(schema["const"])
    kind = schema.get("type")
    if kind in ("integer", "number"):
        return ("a whole number" if kind == "integer" else "a number") + _bounds(schema)
    if kind == "boolean":
        return "true or false"
    if kind == "null":
        return "null"
    if kind == "array":
        return _list(schema, definitions)
    if kind == "object":
        return "a group of fields"
    if kind == "string":
        return "a path" if schema.get("format") in ("path", "file-path") else "a text"
    return "something else"


def _bounds(schema: Mapping[str, Any]) -> str:
    low, above = schema.get("minimum"), schema.get("exclusiveMinimum")
    high, below = schema.get("maximum"), schema.get("exclusiveMaximum")
    start = low if low is not None else above
    if start is not None and (high is not None or below is not None):
        beginning = f"from {start:g}" if low is not None else f"above {start:g}"
        return f" {beginning} to {f'{high:g}' if high is not None else f'below {below:g}'}"
    if above is not None:
        return f" above {above:g}"
    if low is not None:
        return f" of at least {low:g}"
    if high is not None:
        return f" of at most {high:g}"
    return "" if below is None else f" below {below:g}"


def _list(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    inner: Mapping[str, Any] = schema.get("items") or (schema.get("prefixItems") or [{}])[0]
    least, most = schema.get("minItems"), schema.get("maxItems")
    count = f"{least} " if least is not None and least == most else ""
    what = describe(inner, definitions) if inner else "values"
    plural = what.removeprefix("a ").replace("whole number", "whole numbers").replace("text", "texts")
    plural = plural.replace("number ", "numbers ") if plural.startswith("number ") else plural
    plural = "numbers" if plural == "number" else plural
    return f"a list of {count}{plural}"
