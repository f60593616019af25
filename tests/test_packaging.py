"""What pyproject.toml says about the package: every import has its requirement, and versions agree."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions, version

import eaglebench
from eaglebench.config.compose import PACKAGE
from tests.helpers.docs import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def normalized(requirement: str) -> str:
    """The name of a requirement as package indexes compare them."""
    found = re.match(r"[\w.-]+", requirement)
    assert found is not None
    return re.sub(r"[-_.]+", "-", found[0]).lower()


def imported_packages() -> set[str]:
    """The top-level packages that eaglebench imports from outside the standard library."""
    found: set[str] = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    return found - set(sys.stdlib_module_names) - {"eaglebench"}


def test_everything_that_is_imported_is_required() -> None:
    extras = [requirement for extra in PROJECT["optional-dependencies"].values() for requirement in extra]
    required = {normalized(requirement) for requirement in [*PROJECT["dependencies"], *extras]}
    providers = packages_distributions()  # of what is installed; optional packages may be missing
    missing = [
        name
        for name in sorted(imported_packages())
        if not {normalized(provider) for provider in providers.get(name, [name])} & required
    ]
    assert not missing


def test_the_version_is_the_same_everywhere() -> None:
    declared = eaglebench.__version__
    assert version("eaglebench") == declared
    assert f"\nversion: {declared}\n" in (ROOT / "CITATION.cff").read_text()
    newest = re.search(r"^## \[(.+)\]$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert newest[1] == declared


def test_the_licence_is_declared_and_there() -> None:
    assert PROJECT["license"] == "Apache-2.0"
    assert [name for name in PROJECT["license-files"] if not (ROOT / name).is_file()] == []
    assert "Apache License" in (ROOT / "LICENSE").read_text()
