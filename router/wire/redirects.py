"""Refuses a worker's redirects: they would reveal a worker's address, which the client cannot call."""

from http import HTTPStatus

from router.wire.errors import ApiError
from router.wire.exchange import Exchange


def check_redirect(exchange: Exchange, status: int) -> None:
    """Raises ApiError for a redirect in place of an answer. 304 is an answer."""
    if 300 <= status < 400 and status != HTTPStatus.NOT_MODIFIED:
        exchange.outcome = "worker_failed"
        raise ApiError(502, "The worker answered with a redirect, which is not passed on.", "worker_redirected")
