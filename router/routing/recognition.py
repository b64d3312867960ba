"""What is known about a request before the decision: the worker that owns it, and the tokens of its prompt.

The decision does not wait for the encoder: what is known of the conversation is exact at once, the unseen tail is
estimated, and encoded after dispatch. Only a prompt of which nothing is known waits for it, a few milliseconds.
"""

import asyncio
import math
from functools import partial

from msgspec.structs import replace

from router.observe.instruments import Counter
from router.prompts.encoding import INLINE_BYTES, EncodePool
from router.prompts.forward_ids import write_ids
from router.prompts.recall import Recall
from router.routing.asked import Asked
from router.routing.owners import ResponseOwners
from tokenizer_cache.bodies.request import Request
from tokenizer_cache.prompt import Prompt

ENCODE_WAIT_SHARE = 0.1
"""For how long such a prompt waits: at most this share of the time in which a worker prefills what is unknown. For
36,000 tokens at 8,000 a second it is 0.45 s, of which the encoder needs about 0.06. The wait is repaid by one hit in
ten. Danger: with 0, what is shared with other prompts is not found where it is longest."""
MIN_KNOWN_SHARE = 0.5
"""Below this share of known tokens, a long prompt waits for the encoder while that is cheap."""


class Recognition:
    """Completes what was read. `exact`: the ids of prompts are sent along, so short tails
    are encoded even where most is known."""

    def __init__(
        self,
        pool: EncodePool,
        recall: Recall | None,
        degraded: Counter,
        exact: bool = False,
        wait_share: float = ENCODE_WAIT_SHARE,
    ) -> None:
        self._pool = pool
        self._recall = recall
        self._degraded = degraded
        self._wait_share = wait_share
        self._exact = exact

    async def complete(self, asked: Asked) -> Asked:
        """Wait where deciding now would be blind, for as long as that is cheap, so that what is shared with other
        prompts, or was sent through another router, matches: for what other routers know, else for the encoder."""
        request = asked.request
        for name, prompt in asked.prompts.items():
            if request is None or prompt.exact or prompt.ask or prompt.source == "text":
                continue
            known = await self._known(asked, request, name, prompt)
            if known is not prompt:
                asked = replace(asked, prompts={**asked.prompts, name: known})
        if request is not None and self._exact:
            for prompt in asked.prompts.values():
                await write_ids(request, prompt)
        return asked

    async def _known(self, asked: Asked, request: Request, name: str, prompt: Prompt) -> Prompt:
        encoder = asked.encoders[name]
        if encoder.tail_bytes(request) <= INLINE_BYTES:
            if not self._exact and _is_known(prompt):
                return prompt
            if (encoded := encoder.encode_briefly(request)) is not None:
                return encoded
        if self._recall is not None:
            prompt = await self._recall.find(encoder, request, prompt, self._pool)
        if self._wait_share > 0 and not _is_known(prompt):
            return await self._encoded(asked, request, name, prompt)
        return prompt

    async def _encoded(self, asked: Asked, request: Request, name: str, prompt: Prompt) -> Prompt:
        """The encoded prompt, if it is there in time."""
        arrived: asyncio.Future[Prompt | None] = asyncio.get_running_loop().create_future()
        self._pool.submit(asked.encoders[name], request, partial(_arrive, arrived))
        try:
            async with asyncio.timeout(self._wait_share * _prefill_s(asked, name, prompt)):
                return await arrived or prompt
        except TimeoutError:
            self._degraded.add(1, ("encoding",))
            return prompt


async def with_owner(asked: Asked, owners: ResponseOwners) -> Asked:
    """The same, with the worker that made the response that it goes on from. Raises ApiError 404."""
    return replace(asked, owner=await owners.find(asked.response_id))


def _arrive(arrived: "asyncio.Future[Prompt | None]", prompt: Prompt | None) -> None:
    if not arrived.done():
        arrived.set_result(prompt)


def _is_known(prompt: Prompt) -> bool:
    return prompt.known_blocks * prompt.block_tokens >= prompt.tokens * MIN_KNOWN_SHARE


def _prefill_s(asked: Asked, name: str, prompt: Prompt) -> float:
    """Seconds in which a worker of this format prefills the prompt's unknown part: the risk of deciding now."""
    tokens = prompt.tokens - prompt.known_blocks * prompt.block_tokens
    rates = (worker.prefill_rate for worker in asked.group.workers if worker.format == name)
    return tokens / max(rates, default=math.inf)  # none is left: nothing is risked
