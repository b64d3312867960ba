"""Marks each test that starts a server or a process as `integration`, by what its code can reach.

A mark that is set by hand is forgotten. Here the names that a test's code uses are followed, through its fixtures and
through every helper that it can call, until one of them opens a listening socket or starts a process. A test without
the mark that does so all the same fails, so the mark is true.
"""

import gc
import sys
from collections.abc import Iterator
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import pytest
from hypothesis import settings

settings.register_profile("suite", deadline=None)  # a busy machine is no defect; every test has a time limit
settings.load_profile("suite")

STARTS = frozenset(
    {
        "bind",
        "create_server",
        "create_subprocess_exec",
        "listen",
        "Popen",
        "spawnve",
        "start_server",
        "start_unix_server",
    }
)
"""Names of what opens a listening socket or starts a process."""
FORBIDDEN = frozenset({"os.fork", "os.posix_spawn", "socket.bind", "subprocess.Popen"})
"""Audit events of the interpreter."""
PROCESS_MODULES = frozenset({"subprocess", "multiprocessing"})
OURS = ("tests.", "loadtests.", "router.", "tokenizer_cache.", "docker.")


class _Guard:
    """Refuses to start servers and processes while a test runs that is not marked."""

    def __init__(self) -> None:
        self.on = False
        sys.addaudithook(self)

    def __call__(self, event: str, _: object) -> None:
        if self.on and event in FORBIDDEN:
            raise AssertionError(f"{event}: this test is not marked as integration (tests/conftest.py)")


GUARD = _Guard()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Have the guard watch tests without the mark."""
    GUARD.on = item.get_closest_marker("integration") is None
    try:
        yield
    finally:
        GUARD.on = False


def pytest_collection_finish() -> None:
    """Leave what was collected and imported out of later garbage collections: they take milliseconds then."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Collect what a file has left behind at its end. At any other moment the traceback of a forgotten task may be
    formatted while Python compiles something, which Python 3.11.7 answers with a SystemError in an innocent test."""
    if nextitem is None or nextitem.path != item.path:
        gc.collect()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what reaches a start."""
    known: dict[int, bool] = {}
    for item in items:
        if isinstance(item, pytest.Function) and any(_starts(part, known) for part in _parts(item)):
            item.add_marker(pytest.mark.integration)


def _parts(item: pytest.Function) -> Iterator[Any]:
    """The test's function, those of its fixtures, and what it is parametrised with."""
    yield item.function
    if hasattr(item, "callspec"):
        yield from item.callspec.params.values()
    info = item._fixtureinfo
    for definitions in info.name2fixturedefs.values():
        yield from (definition.func for definition in definitions)


def _starts(part: Any, known: dict[int, bool]) -> bool:
    """Can this function or class reach a start? `known` remembers the answer for all that was looked at."""
    if id(part) in known:
        return known[id(part)]
    todo, came_from = [part], {id(part): 0}
    while todo:
        at = todo.pop()
        if known.get(id(at)) or _starts_itself(at):
            _remember(id(at), came_from, known)
            return True
        for value in _reached(at):
            if id(value) not in came_from and known.get(id(value), True):
                came_from[id(value)] = id(at)
                todo.append(value)
    known.update(dict.fromkeys(came_from, False))
    return False


def _remember(reached: int, came_from: dict[int, int], known: dict[int, bool]) -> None:
    """All on the way to what has been reached can reach a start."""
    while reached:
        known[reached] = True
        reached = came_from[reached]


def _starts_itself(part: Any) -> bool:
    return any(
        not STARTS.isdisjoint(code.co_names)
        or any(isinstance(value, ModuleType) and value.__name__ in PROCESS_MODULES for value in _values(code, names))
        for code, names in _codes(part)
    )


def _reached(part: Any) -> Iterator[Any]:
    """The functions and classes of this repository that its code names."""
    for code, names in _codes(part):
        yield from filter(_is_ours, _values(code, names))


def _values(code: CodeType, names: dict[str, Any]) -> Iterator[Any]:
    """What the code's names mean: globals, and members of modules that are globals."""
    for value in (names.get(name) for name in code.co_names):
        yield value
        if isinstance(value, ModuleType) and value.__name__.startswith(OURS):
            yield from (getattr(value, name, None) for name in code.co_names)


def _is_ours(value: Any) -> bool:
    """Is it a function or a class of this repository?"""
    module = getattr(value, "__module__", None)
    return callable(value) and isinstance(module, str) and module.startswith(OURS) and module in sys.modules


def _codes(part: Any) -> Iterator[tuple[CodeType, dict[str, Any]]]:
    """Every code object of a function or of a class's methods, with the globals that its names mean."""
    if isinstance(part, MethodType):
        part = part.__func__
    part = getattr(part, "__wrapped__", part)
    part = getattr(getattr(part, "hypothesis", None), "inner_test", part)
    if isinstance(part, FunctionType):
        yield from ((code, part.__globals__) for code in _nested(part.__code__))
    elif isinstance(part, type):
        for value in (
            value for kind in part.__mro__ if kind.__module__.startswith(OURS) for value in vars(kind).values()
        ):
            inner = getattr(value, "__func__", getattr(value, "fget", value))
            if isinstance(getattr(inner, "__wrapped__", inner), FunctionType):
                yield from _codes(inner)


def _nested(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _nested(constant)
