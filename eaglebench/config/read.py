"""From a composed configuration, as plain data, to the typed one; what is wrong with it is one sentence."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from eaglebench.config.messages import describe, namesakes, not_set, unknown, written
from eaglebench.config.schema import Config
from eaglebench.config.schema_base import Component
from eaglebench.config.signature import read_signature
from eaglebench.config.targets import TARGET, check_targets
from eaglebench.utils.errors import UserError

MISSING = "???"  # OmegaConf's value of a field that must be given
# Not part of the typed configuration: Hydra's own settings, what `size` chooses between, and the version that a run
# folder is marked with.
UNTYPED = ("hydra", "presets", "config_version")
SCHEMA = Config.model_json_schema(by_alias=True)


def read_config(composed: Mapping[str, Any], plugins: Sequence[str] = ()) -> Config:
    """The typed configuration of composed and resolved plain data.

    Args:
        plugins: the modules whose classes it may name beside eaglebench's; those that it lists itself do not count.

    Raises:
        UserError: a field is unknown, missing, or not what it must be, or names a class that may not be built.
    """
    raw = {key: value for key, value in composed.items() if key not in UNTYPED}
    for name, value in raw.items():
        if value is None and _branch(SCHEMA["properties"].get(name, {}), {}).get("type") == "object":
            raise UserError(_sentence_of_group(name, None, _branch(SCHEMA["properties"][name], {})))
    try:
        config = Config.model_validate_json(json.dumps(raw))
    except ValidationError as error:
        raise UserError(_sentence(error.errors()[0], raw)) from error
    check_targets(raw, plugins)
    for path, component in components(config):
        check_component(path, component)
    return config


def check_missing(unresolved: Mapping[str, Any]) -> None:
    """Refuse a field that must be given and is not, before anything refers to it.

    Raises:
        UserError: it names the field.
    """
    for path, value in _leaves(unresolved):
        if value == MISSING:
            raise UserError(not_set(path))


def components(node: BaseModel | Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Component]]:
    """Every component in a configuration with its dotted path."""
    if isinstance(node, Component):
        yield path, node
    fields = {name: getattr(node, name) for name in type(node).model_fields} if isinstance(node, BaseModel) else node
    for name, value in fields.items():
        if isinstance(value, (BaseModel, dict)):
            yield from components(value, f"{path}.{name}" if path else str(name))


def check_component(path: str, component: Component) -> None:
    """Refuse arguments that the component's constructor does not take, or not with such a value.

    Raises:
        UserError: it names the field and the nearest one that there is, or what it must be.
    """
    try:
        signature = read_signature(component.target)
    except UserError as error:
        raise UserError(f"{path}.{error}") from error
    declared = {info.alias or name for name, info in type(component).model_fields.items()}
    known = {name for name in signature.fields if name not in component.PROVIDED} | declared
    for name, value in component.model_dump(by_alias=True, exclude_unset=True).items():
        field = f"{path}.{name}"
        if name == TARGET:
            continue
        # Hydra's `_partial_` and its like have no effect here, whatever else a constructor takes.
        if name not in known and (not signature.open or name.startswith("_")):
            raise UserError(unknown(field, known - {TARGET}))
        if isinstance(value, Mapping) and TARGET in value:
            check_component(field, Component.model_validate(value))
        elif name in signature.fields:
            check_value(field, value, signature.fields[name])


def check_value(path: str, value: Any, annotation: Any) -> None:
    """Refuse a value that is not of the annotated type.

    Raises:
        UserError: it says what the value must be.
    """
    adapter = TypeAdapter(annotation, config=None if _is_model(annotation) else ConfigDict(allow_inf_nan=False))
    try:
        adapter.validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        schema = adapter.json_schema()
        raise UserError(f"{path}={written(value)} must be {describe(schema, schema.get('$defs', {}))}.") from error


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _leaves(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(node, Mapping):
        for name, value in node.items():
            yield from _leaves(value, f"{path}.{name}" if path else str(name))
    else:
        yield path, node


def _sentence(error: ErrorDetails, raw: Mapping[str, Any]) -> str:
    """What is wrong, in one sentence: the path of the field as the user writes it, its value, what it must be."""
    names, value = _place(error["loc"], raw)
    path = ".".join(names)
    if error["type"] == "missing":
        absent = str(error["loc"][-1])
        if absent == "_target_" and len(names) == 2:
            return f"{path} has fields, but {names[1]} is not chosen: add it to '{names[0]}=[...]', or leave them out."
        owner = path or "the configuration"
        return f"{owner} has no field {absent}, which it needs: its file in conf/ may lack its defaults list."
    schema = _schema_of(names[:-1], raw)
    if error["type"] == "extra_forbidden" or error["loc"][-1] == "[key]":
        elsewhere = namesakes(path, (leaf for leaf, _ in _leaves(raw))) if len(names) == 1 else None
        return elsewhere or unknown(path, _names(schema))
    own = _schema_of(names, raw)
    expected = describe(own, SCHEMA["$defs"])
    if expected == "a group of fields":
        return _sentence_of_group(path, value, own)
    return f"{path}={written(value)} must be {expected}."


def _sentence_of_group(path: str, value: Any, schema: Mapping[str, Any]) -> str:
    """What is wrong with a group of fields that was given a value."""
    inner = _names(schema)
    example = f"{path}.{inner[0]}=VALUE" if inner else f"{path}.NAME=VALUE"
    return f"{path}={written(value)} would replace a group of fields: set one of them, as in {example}."


def _place(location: tuple[int | str, ...], raw: Mapping[str, Any]) -> tuple[list[str], Any]:
    """The names of a field in the user's terms, and its value: the parts of an error's location that name fields of
    the data.
    """
    names: list[str] = []
    node: Any = raw
    for part in location:
        if not isinstance(node, Mapping) or part not in node:
            if isinstance(node, list):
                break
            continue  # a branch of a union
        names.append(str(part))
        node = node[part]
    return names, node


def _schema_of(names: list[str], raw: Mapping[str, Any]) -> Mapping[str, Any]:
    """The JSON schema of a field."""
    schema: Mapping[str, Any] = SCHEMA
    node: Any = raw
    for name in names:
        schema = _branch(schema, node)
        node = node.get(name) if isinstance(node, Mapping) else None
        schema = schema.get("properties", {}).get(name) or _additional(schema)
    return _branch(schema, node) if isinstance(node, Mapping) or "$ref" in schema else schema


def _additional(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    found = schema.get("additionalProperties")
    return found if isinstance(found, Mapping) else {}


def _branch(schema: Mapping[str, Any], node: Any) -> Mapping[str, Any]:
    """A schema with references followed; of several kinds of groups, the one that the data is meant as."""
    if "$ref" in schema:
        return _branch(SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]], node)
    several = schema.get("anyOf") or schema.get("oneOf")
    if several:
        groups = [_branch(one, node) for one in several]
        groups = [one for one in groups if one.get("type") == "object"] or groups
        fitting = [one for one in groups if isinstance(node, Mapping) and ("tasks" in node) == ("tasks" in _names(one))]
        return (fitting or groups)[0]
    return schema


def _names(schema: Mapping[str, Any]) -> list[str]:
    """The fields that a group has."""
    keys = schema.get("propertyNames", {}).get("enum", [])
    return [name for name in (*schema.get("properties", {}), *keys) if name != "_target_"]
