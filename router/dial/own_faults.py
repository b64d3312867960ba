"""Connections that fail for want of something of the router's own machine: no worker is to blame for these."""

import errno
from collections.abc import Iterator
from typing import Final

OWN_ERRORS: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL})
"""Files of the process or the machine, buffers, memory, local ports."""


def is_own_fault(error: BaseException) -> bool:
    """Has this, or what led to it, failed for want of the router's own?"""
    return any(isinstance(cause, OSError) and cause.errno in OWN_ERRORS for cause in causes(error))


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error, all that led to it, and every member of a group (one per address that was tried)."""
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
