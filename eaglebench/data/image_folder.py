"""The images that a data file names: inside their folder, and there."""

import os
from functools import lru_cache
from pathlib import Path

from eaglebench.data.file_problems import MISSING, find_file_problem
from eaglebench.utils.quoting import quote


class BadImageName(Exception):
    """The reason why an image name cannot be used."""


class MissingImage(BadImageName):
    """The image name is sound, but no such file exists."""


class ImageFolder:
    """A folder that image names are relative to.

    Args:
        folder: the folder.
        bounded: no name, and no symbolic link that it goes through, may lead out of the folder.

    Attributes:
        path: the folder, without symbolic links.
    """

    def __init__(self, folder: Path, bounded: bool = True) -> None:
        self.path = folder.resolve()
        self._bounds = find_bounds(self.path) if bounded else Path(self.path.anchor)
        self._resolve_folder = lru_cache(maxsize=10_000)(os.path.realpath)  # thousands of images share one

    def find(self, name: str) -> Path:
        """The file of an image name.

        Raises:
            BadImageName: the name leads out of the folder, or to no readable file.
            MissingImage: there is no such file.
        """
        path = Path(os.path.normpath(self.path / name))
        if not self.resolve(path).is_relative_to(self._bounds):
            how = "is a link that leads" if path.is_relative_to(self.path) else "lies"
            raise BadImageName(f"its image {quote(name)} {how} outside {self.path}")
        problem = find_file_problem(path)
        if problem == MISSING:
            hint = ": it is an address, and images are read from files" if "://" in name else f" in {self.path}"
            raise MissingImage(f"its image {quote(name)} {problem}{hint}")
        if problem is not None:
            raise BadImageName(f"its image {quote(name)} {problem}")
        return path

    def resolve(self, path: Path) -> Path:
        """A path without symbolic links."""
        real = os.path.join(self._resolve_folder(path.parent), path.name)
        return Path(os.path.realpath(real) if os.path.islink(real) else real)


def find_bounds(folder: Path) -> Path:
    """The folder that symbolic links within `folder` may lead to: itself.

    In the cache of the Hugging Face hub a snapshot is a folder of links into its repository, which is then the bound.
    """
    for parent in folder.parents:
        if parent.name == "snapshots" and (parent.parent / "blobs").is_dir():
            return parent.parent
    return folder
