"""`GET /admin/status` and `/admin/savings.csv` behind the admin key, and the page over the first. The page's own files
need no key: they hold nothing, and a browser cannot send one with an address that a person types."""

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from fastapi import FastAPI, Query, Response

from router.observe.one_page import OnePage
from router.status.site import FIRST, HEADERS, page_files
from router.status.status import StatusParts, status
from router.wire.errors import ApiError

AS_FILE = {"content-disposition": 'attachment; filename="savings.csv"', "cache-control": "no-store"}


def add_status(app: FastAPI, parts: StatusParts, guarded: list[Any], exists: Callable[[], None] | None) -> None:
    """Add the routes. `guarded` checks the admin key. `exists` raises ApiError where there is no admin API at all; None
    where status and page need no key."""
    ui = page_files(needs_key=exists is not None)

    async def make() -> bytes:
        return msgspec.json.encode(status(parts))

    one = OnePage(make, name="status")

    @app.get("/admin/status", dependencies=guarded if exists is not None else None)
    async def show() -> Response:
        """What this router does, and what is amiss."""
        return Response(await one.page(), media_type="application/json", headers={"cache-control": "no-store"})

    @app.get("/admin/savings.csv", dependencies=guarded)
    async def savings(price: Annotated[float | None, Query(ge=0, le=1e9)] = None) -> Response:
        """What placement saved against each shadow, by month, model and client; money at a price of a worker hour."""
        return Response(parts.savings_table(price), media_type="text/csv; charset=utf-8", headers=AS_FILE)

    @app.get("/admin/ui")
    async def first() -> Response:
        """The page."""
        return _sent(FIRST)

    @app.get("/admin/ui/{name}")
    async def other(name: str) -> Response:
        """What the page is made of."""
        return _sent(name)

    def _sent(name: str) -> Response:
        if exists is not None:
            exists()
        file = ui.get(name)
        if file is None:
            raise ApiError(404, "There is no such path here.", "path_not_found")
        return Response(file.body, media_type=file.media_type, headers=HEADERS)
