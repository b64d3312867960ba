"""How errors, the log and a terminal quote what others wrote: short, on one line, and never a value that could hold a
password."""

MAX_QUOTED = 80
MAX_TEXT = 200


def quoted(given: object) -> str:
    """The value as Python writes it. A value with an @ is not quoted: it may be a URL with a password, meant for
    another setting."""
    text = repr(given)
    if "@" in text:
        return "a value with an @"
    return text if len(text) <= MAX_QUOTED else f"{text[: MAX_QUOTED - 4]}..."


def one_line(text: str) -> str:
    """The text, at most 200 characters of it, with what is not printable as Python writes it."""
    return printable(text[:MAX_TEXT])


def printable(text: str) -> str:
    """The text, with what is not printable as Python writes it: nothing in it breaks a line or moves a cursor."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
