"""Custom policies: a class in a Python file, named `path/to/file.py:Class`, that serves and replays unchanged.

The file is code that runs in the router: give it a path that only its owner can write to. What must not be broken: a
file that cannot be used is refused in one sentence before anything is served, whatever is wrong with it.
"""

import importlib.util
import random
import sys
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from types import ModuleType
from typing import Any

from policies.api import Policy

SEPARATOR = ".py:"
"""What tells a file from the name of a built-in policy."""


def is_own(name: str) -> bool:
    """Is this a file and a class, rather than a built-in policy's name?"""
    return SEPARATOR in name


def load(name: str) -> Callable[[random.Random], Policy]:
    """The class in the file. Raises ValueError, with what is wrong, if there is no usable one."""
    path, class_name = split(name)
    try:
        found = getattr(_module(path), class_name)
    except AttributeError:
        raise ValueError(f"{path} has no class {class_name}") from None
    missing = [part for part in ("costs", "select", "reasons", "scope") if not hasattr(found, part)]
    if missing or not callable(found):
        raise ValueError(f"{name} is no policy: it lacks {', '.join(missing) or 'everything'} (see docs/policies.md)")
    if found.scope not in ("few", "all"):
        raise ValueError(f"{name}: scope must be 'few' or 'all', not {found.scope!r}")
    return _building(name, found)


def split(name: str) -> tuple[Path, str]:
    """File and class. Raises ValueError where there is no such file or no name of a class."""
    path, _, class_name = name.rpartition(":")
    if not class_name.isidentifier():
        raise ValueError(f"{name!r} names no class: write FILE.py:CLASS")
    if not Path(path).is_file():
        raise ValueError(f"there is no file {path}")
    return Path(path), class_name


def _module(path: Path) -> ModuleType:
    key = "warmroute_policy_" + blake2b(str(path.resolve()).encode(), digest_size=6).hexdigest()
    spec = importlib.util.spec_from_file_location(key, path)
    assert spec is not None and spec.loader is not None  # the name ends in .py
    module = importlib.util.module_from_spec(spec)
    sys.modules[key] = module  # dataclasses look themselves up there
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # foreign code may raise anything: that is the error to report
        del sys.modules[key]
        raise ValueError(f"{path} cannot be loaded: {type(error).__name__}: {error}") from error
    return module


def _building(name: str, found: Callable[[random.Random], Any]) -> Callable[[random.Random], Policy]:
    def build(rng: random.Random) -> Policy:
        try:
            policy: Policy = found(rng)
        except TypeError as error:
            raise ValueError(f"{name} cannot be built from a random.Random alone: {error}") from error
        return policy

    return build
