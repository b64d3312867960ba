"""How a fault inside the router is logged: by its type and its place, as its text may quote what a client wrote."""


def without_text(error: BaseException) -> RuntimeError:
    """An error to be logged in place of `error`: with its type and its place, without its text."""
    return RuntimeError(type(error).__name__).with_traceback(error.__traceback__)
