"""Errors as the engines word them: vLLM's nested object, SGLang's flat one, Anthropic's on `/v1/messages`."""

import msgspec

_NAMES = {
    400: "BadRequestError",
    401: "AuthenticationError",
    404: "NotFoundError",
    405: "MethodNotAllowedError",
    500: "InternalServerError",
    501: "NotImplementedError",
    503: "ServiceUnavailableError",
}
_ANTHROPIC = {
    400: "invalid_request_error",
    401: "authentication_error",
    404: "not_found_error",
    429: "rate_limit_error",
}


class Refused(Exception):
    """The request is answered with an error. The message may quote field names, never prompt text."""

    def __init__(self, status: int, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param


def error_body(refused: Refused, kind: str, path: str) -> bytes:
    """The JSON body that an engine of `kind` (vllm, sglang) answers on `path`."""
    status, message = refused.status, refused.message
    if path.startswith("/v1/messages"):
        error_type = _ANTHROPIC.get(status, "api_error")
        return msgspec.json.encode({"type": "error", "error": {"type": error_type, "message": message}})
    error = {"message": message, "type": _NAMES.get(status, "Error"), "param": refused.param, "code": status}
    if kind == "sglang":
        return msgspec.json.encode({"object": "error", **error})
    return msgspec.json.encode({"error": "Unauthorized" if status == 401 else error})
