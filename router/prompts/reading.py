"""Reads bodies and recognises their prompts: on the event loop where little is new, in a thread where much is.

The loop reads up to 64 KB in one go, which takes less than 5 ms whatever they hold. What must not be broken: whatever a
client sends, the loop waits at most for one of the thread's calls into C.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeVar

from router.prompts.encoding import EncodePool, Encoder
from tokenizer_cache.bodies.density import MAX_ITEMS, check_crowds, may_crowd
from tokenizer_cache.bodies.items import NotRead
from tokenizer_cache.bodies.reader import LONG_BYTES, Reader
from tokenizer_cache.bodies.request import Request
from tokenizer_cache.prompt import Prompt

Result = TypeVar("Result")


class Reading:
    """One process's reader, and the thread for long bodies."""

    def __init__(self, reader: Reader, pool: EncodePool) -> None:
        self._reader = reader
        self._pool = pool

    async def decode(self, body: bytes, decoded: Callable[[bytes], Result], max_items: int = MAX_ITEMS) -> Result:
        """The result of `decoded(body)`, which decodes the body's fields. A body that may have many fields is checked
        and decoded in a thread, and refused if it has too many. Raises BadRequest, and what `decoded` raises."""
        if len(body) <= LONG_BYTES or not may_crowd(body):
            return decoded(body)

        def checked() -> Result:
            check_crowds(body, max_items)
            return decoded(body)

        return await self._pool.read(checked)

    async def read(self, api: str, body: bytes) -> Request:
        """The request. Raises BadRequest."""
        request = self._reader.parse_short(api, body)
        return request if request is not None else await self._pool.read(partial(self._reader.parse, api, body))

    async def recognise(self, request: Request, encoders: Mapping[str, Encoder]) -> dict[str, Prompt]:
        """The request's prompt in each format."""
        items = request.conversation

        def recognise() -> dict[str, Prompt]:
            return {name: encoder.recognise(request) for name, encoder in encoders.items()}

        try:
            if items.hasty or len(request.body) <= LONG_BYTES:
                return recognise()
        except NotRead:
            pass
        finally:
            items.hasty = False
        return await self._pool.read(recognise)
