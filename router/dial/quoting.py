"""How an error quotes what was given: short, on one line, and never where it could hold a password."""

MAX_SHOWN = 80


def shown(given: object) -> str:
    """The value as Python writes it. A URL meant for another setting may stand there: what holds an @ is not quoted."""
    text = repr(given)
    if "@" in text:
        return "a value with an @"
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 4]}..."
