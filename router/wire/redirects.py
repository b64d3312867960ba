"""Refuses a worker's redirects: they would reveal a worker's address, which the client cannot call."""

from http import HTTPStatus

from router.wire.errors import UnservedError


def check_redirect(status: int) -> None:
    """Raises UnservedError for a redirect in place of an answer. 304 is an answer."""
    if 300 <= status < 400 and status != HTTPStatus.NOT_MODIFIED:
        message = "The worker answered with a redirect, which is not passed on."
        raise UnservedError("worker_failed", 502, message, "worker_redirected")
