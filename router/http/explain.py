"""What would be decided for a request, and why, per candidate. Nothing is sent, nothing is recorded."""

import time
from typing import Any

from router.http.prompt_route import PromptRoute
from router.routing.decide import NoWorkerError
from router.routing.saturation import wait_s
from router.wire.errors import ApiError


async def explain(prompts: PromptRoute, api: str, body: bytes) -> dict[str, Any]:
    """The decision as JSON. Raises ApiError like the request itself would."""
    asked = await prompts.ask(api, body)
    await prompts.wait_for_unknown(asked)
    try:
        decision, costs = await prompts.explain(asked)
    except NoWorkerError:
        raise ApiError(503, "No healthy worker serves this request at the moment.", "no_worker") from None
    prompt = asked.prompts.get(decision.worker.format)
    now = time.monotonic()
    rows = zip(decision.candidates, decision.workers, costs, strict=True)
    return {
        "worker": decision.worker.id,
        "reason": decision.selection.reason,
        "policy": prompts.policy_name,
        "prompt_tokens": prompt.tokens if prompt is not None else 0,
        "exact": prompt.exact if prompt is not None else False,
        "source": prompt.source if prompt is not None else "",
        "candidates": [
            {**candidate._asdict(), "cost": cost, "wait_s": wait_s(candidate, worker.running.punctuality, now)}
            for candidate, worker, cost in rows
        ],
    }
