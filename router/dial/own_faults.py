"""Connections that fail because the router's own machine lacks a resource. They are no failures of the worker."""

import errno
from collections.abc import Iterator
from typing import Final

OWN_ERRORS: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL})
"""Errors of missing resources: files of the process or the machine, buffers, memory, local ports."""


def is_own_fault(error: BaseException) -> bool:
    """Was this error, or one of its causes, a lack of the router's own resources?"""
    return any(isinstance(cause, OSError) and cause.errno in OWN_ERRORS for cause in causes(error))


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error, all its causes, and every member of a group (one per address that was tried)."""
    todo = [error]
    seen: set[int] = set()
    while todo:
        cause = todo.pop()
        if id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        todo += [e for e in (cause.__cause__, cause.__context__) if e is not None]
        if isinstance(cause, BaseExceptionGroup):
            todo += cause.exceptions
