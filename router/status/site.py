"""The files of the page at `/admin/ui`, and the headers under which a browser runs them.

The page is static and holds no secret. It asks for `/admin/status` with the key that its user typed. Nothing is loaded
from elsewhere: the policy below forbids it.
"""

from importlib.resources import files
from typing import Final, NamedTuple

HEADERS: Final = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-cache",
}
TYPES: Final = {"css": "text/css", "html": "text/html", "js": "text/javascript", "svg": "image/svg+xml"}
FIRST: Final = "page.html"


class PageFile(NamedTuple):
    """One file, as it is sent."""

    body: bytes
    media_type: str


def page_files(needs_key: bool = True) -> dict[str, PageFile]:
    """All files of the page, by name. One that needs no key says so to its script, and asks for none."""
    folder = files("router.status").joinpath("ui")
    found = {
        file.name: PageFile(file.read_bytes(), f"{TYPES[file.name.rpartition('.')[2]]}; charset=utf-8")
        for file in folder.iterdir()
        if file.name.rpartition(".")[2] in TYPES
    }
    if not needs_key:
        first = found[FIRST]
        found[FIRST] = first._replace(body=first.body.replace(b"<body", b"<body data-open", 1))
    return found
