"""The fields of a component, read from its constructor's source without importing it: torch alone takes seconds to
import.
"""

import ast
import importlib
import pkgutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

from eaglebench.utils.errors import UserError

# What annotations may name and still be checked: modules that are cheap to import. A field of any other type takes
# any value.
LIGHT = ("typing", "collections", "pathlib", "pydantic", "annotated_types", "types", "builtins")


@dataclass(frozen=True)
class Signature:
    """What a class or function takes.

    Attributes:
        fields: the annotation of each argument, by its name; `Any` where it cannot be told without importing the
            module.
        required: the arguments without a default.
        open: it takes any other keyword too.
    """

    fields: Mapping[str, Any]
    required: frozenset[str]
    open: bool


@cache
def read_signature(target: str) -> Signature:
    """The signature of the class or function that a `_target_` names.

    Raises:
        UserError: there is no such module, or nothing of that name in it.
    """
    module, _, name = target.rpartition(".")
    found = find_definition(module, name)
    if found is None:
        where = f"no module {module}" if _source(module) is None else f"no {name} in {module}"
        raise UserError(
            f"_target_={target} cannot be found ({where}): give MODULE.NAME of something that Python can import "
            "from here."
        )
    if isinstance(found, Builtin):
        return Signature({}, frozenset(), open=True)
    return _signature(*found)


@dataclass(frozen=True)
class Builtin:
    """A module without Python source, whose signatures are not checked."""


Node = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
Definition = tuple[str, Node]  # its module, and where it is defined there


def find_definition(module: str, name: str, depth: int = 0) -> Definition | Builtin | None:
    """Where a module defines a name, through re-exports; None if it does not."""
    if not module or depth > 8:
        return None
    source = _source(module)
    if source is None or isinstance(source, Builtin):
        return source
    reexported = None
    for node in _statements(source):
        if isinstance(node, Node) and node.name == name:
            return module, node
        if isinstance(node, ast.ImportFrom) and any((alias.asname or alias.name) == name for alias in node.names):
            original = next(alias.name for alias in node.names if (alias.asname or alias.name) == name)
            reexported = (_absolute(module, node), original)
    return None if reexported is None else find_definition(*reexported, depth + 1)


def _signature(module: str, node: Node) -> Signature:
    """What a function or class takes; a class that hands `**keywords` on, or has no constructor, takes what its base
    does.
    """
    if not isinstance(node, ast.ClassDef):
        return _arguments(module, node)
    own = _constructor(node)
    found = Signature({}, frozenset(), open=True) if own is None else _arguments(module, own)
    if not found.open:
        return found
    inherited = [find_definition(module, base.id) for base in node.bases if isinstance(base, ast.Name)]
    bases = [_signature(*one) for one in inherited if one is not None and not isinstance(one, Builtin)]
    known = [base for base in bases if base.fields or base.open]
    if not known:  # nothing that is known here takes what is handed on, or there is no constructor at all
        return Signature(found.fields, found.required, open=own is not None)
    fields = {name: annotation for base in reversed(known) for name, annotation in base.fields.items()}
    required = frozenset[str]().union(*(base.required for base in known), found.required)
    return Signature({**fields, **found.fields}, required, any(base.open for base in known))


def _constructor(node: ast.ClassDef) -> ast.FunctionDef | ast.ClassDef | None:
    """The `__init__` of a class, or the class itself if it is a dataclass."""
    for member in node.body:
        if isinstance(member, ast.FunctionDef) and member.name == "__init__":
            return member
    return node if any("dataclass" in ast.dump(decorator) for decorator in node.decorator_list) else None


def _arguments(module: str, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> Signature:
    """The arguments of a function, or the fields of a dataclass."""
    names = _Names(module)
    if isinstance(node, ast.ClassDef):
        fields = [item for item in node.body if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)]
        return Signature(
            {item.target.id: names.evaluate(item.annotation) for item in fields if isinstance(item.target, ast.Name)},
            frozenset(item.target.id for item in fields if item.value is None and isinstance(item.target, ast.Name)),
            open=False,
        )
    arguments = node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    without_default = positional[: len(positional) - len(arguments.defaults)]
    without_default += [
        one for one, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if default is None
    ]
    taken = [one for one in (*positional, *arguments.kwonlyargs) if one.arg != "self"]
    return Signature(
        {one.arg: names.evaluate(one.annotation) for one in taken},
        frozenset(one.arg for one in without_default if one.arg != "self"),
        open=arguments.kwarg is not None,
    )


class _Names(dict[str, Any]):
    """What the annotations of a module mean, as far as the modules in LIGHT say; its own names are evaluated when they
    are met.
    """

    def __init__(self, module: str) -> None:
        super().__init__()
        source = _source(module)
        assert source is not None
        assert not isinstance(source, Builtin)
        self.assigned: dict[str, ast.expr] = {}
        for node in _statements(source):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in LIGHT:
                for alias in node.names:
                    self[alias.asname or alias.name] = getattr(importlib.import_module(node.module), alias.name, Any)
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    if alias.name.split(".")[0] in LIGHT:
                        self[alias.asname or alias.name] = importlib.import_module(alias.name)
            elif isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
                self.assigned[node.targets[0].id] = node.value

    def evaluate(self, annotation: ast.expr | None) -> Any:
        """The type that an annotation means; `Any` if it names what is not known here."""
        if annotation is None:
            return Any
        if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
            annotation = ast.parse(annotation.value, mode="eval").body
        if not all(self._is_known(node) for node in ast.walk(annotation)):
            return Any
        try:
            # Names of LIGHT modules, subscripts and literals: nothing of the module's own code is run.
            return eval(compile(ast.Expression(annotation), "<annotation>", "eval"), {"__builtins__": TYPES}, self)
        except (NameError, AttributeError, TypeError):
            return Any

    def __missing__(self, name: str) -> Any:
        if name not in self.assigned:
            raise KeyError(name)
        self[name] = self.evaluate(self.assigned[name])  # an alias of a type, or a constant
        return self[name]

    def _is_known(self, node: ast.AST) -> bool:
        """Whether a part of an annotation can be evaluated: of calls, those of types like `Ge(0)` alone."""
        if isinstance(node, ast.Call):
            return isinstance(node.func, ast.Name) and node.func.id in self
        return not isinstance(node, (ast.Lambda, ast.Await, ast.NamedExpr, ast.ListComp, ast.GeneratorExp))


TYPES = {
    kind.__name__: kind for kind in (int, float, str, bool, list, dict, tuple, set, frozenset, bytes, object, type)
}


def _statements(source: ast.Module) -> Iterator[ast.stmt]:
    """The statements of a module, those within `if` and `try` too."""
    waiting: list[ast.stmt] = list(source.body)
    while waiting:
        node = waiting.pop(0)
        yield node
        if isinstance(node, ast.If):
            waiting += [*node.body, *node.orelse]
        elif isinstance(node, ast.Try):
            waiting += [*node.body, *(inner for handler in node.handlers for inner in handler.body), *node.orelse]


def _absolute(module: str, node: ast.ImportFrom) -> str:
    """The module that an import names."""
    if not node.level:
        return node.module or ""
    spec = _spec(module)
    package = module if spec is not None and spec.submodule_search_locations is not None else module.rpartition(".")[0]
    for _ in range(node.level - 1):
        package = package.rpartition(".")[0]
    return f"{package}.{node.module}" if node.module else package


@cache
def _source(module: str) -> ast.Module | Builtin | None:
    """The parsed source of a module; None if there is no such module."""
    spec = _spec(module)
    if spec is None:
        return None
    if spec.origin is None or not spec.origin.endswith(".py"):
        return Builtin()
    try:
        return ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    except (SyntaxError, OSError, UnicodeDecodeError) as error:
        raise UserError(f"{spec.origin} cannot be read as Python: {error}") from error


def _spec(module: str) -> ModuleSpec | None:
    """Where a module is, without importing the packages that it is in (as importlib.util.find_spec would)."""
    path: list[str] | None = None
    spec = None
    parts = module.split(".")
    finder: Callable[..., ModuleSpec | None] = _find
    for index in range(len(parts)):
        spec = finder(".".join(parts[: index + 1]), path)
        if spec is None:
            return None
        path = list(spec.submodule_search_locations or ())
    return spec


def _find(name: str, path: list[str] | None) -> ModuleSpec | None:
    """One step of `_spec`; editable installs put finders of their own on `sys.meta_path`."""
    if path is not None:
        return _find_inside(name, path)
    found = PathFinder.find_spec(name)
    if found is not None:
        return found
    for finder in sys.meta_path:
        spec = finder.find_spec(name, path) if hasattr(finder, "find_spec") else None
        if spec is not None:
            return spec
    return None


def _find_inside(name: str, folders: list[str]) -> ModuleSpec | None:
    """Where a module of a package is; the package may be a plain folder, which `PathFinder` would want imported
    before.
    """
    portions: list[str] = []
    for folder in folders:
        importer = pkgutil.get_importer(folder)
        found = None if importer is None else importer.find_spec(name)
        if found is not None and found.loader is not None:
            return found
        portions += (found.submodule_search_locations or ()) if found is not None else ()
    if not portions:
        return None
    package = ModuleSpec(name, None, is_package=True)
    package.submodule_search_locations = portions
    return package
