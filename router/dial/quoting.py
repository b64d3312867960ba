"""How an error quotes a value: short, on one line, and never a value that could hold a password."""

MAX_QUOTED = 80


def quoted(given: object) -> str:
    """The value as Python writes it. A value with an @ is not quoted: it may be a URL with a password, meant for
    another setting."""
    text = repr(given)
    if "@" in text:
        return "a value with an @"
    return text if len(text) <= MAX_QUOTED else f"{text[: MAX_QUOTED - 4]}..."
