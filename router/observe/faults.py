"""How a fault inside the router is logged: by its type and its place, as its text may quote what a client wrote."""


def without_text(error: BaseException) -> RuntimeError:
    """To be logged in place of the error."""
    return RuntimeError(type(error).__name__).with_traceback(error.__traceback__)
