"""Shows the decision for a request and its reason, per candidate. It sends and records nothing."""

import time
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from router.http.prompt_route import PromptRoute
from router.relay.retry import gave_up
from router.routing.choose import Chooser
from router.routing.decide import NoWorkerError
from router.routing.recognition import Recognition
from router.routing.saturation import wait_s


@dataclass(frozen=True, slots=True)
class Explainer:
    """Takes the first steps of the loop, and stops."""

    prompts: PromptRoute
    recognition: Recognition
    chooser: Chooser
    policy_name: str

    async def explain(self, api: str, body: bytes) -> dict[str, Any]:
        """The decision as JSON. Raises ApiError like the request itself would."""
        asked = self.chooser.arrived(await self.recognition.complete(await self.prompts.ask(api, body)))
        try:
            decision = await self.chooser.decide(asked)
            waits = decision is None
            if decision is None:
                decision = await self.chooser.decide(replace(asked, turn=None))
        except NoWorkerError:
            raise gave_up("") from None
        assert decision is not None
        costs = self.chooser.costs(asked, decision)
        prompt = asked.prompts.get(decision.worker.format)
        now = time.monotonic()
        rows = zip(decision.candidates, decision.workers, costs, strict=True)
        return {
            "worker": decision.worker.id,
            "reason": decision.selection.reason,
            "policy": self.policy_name,
            "prompt_tokens": prompt.tokens if prompt is not None else 0,
            "exact": prompt.exact if prompt is not None else False,
            "source": prompt.source if prompt is not None else "",
            "waits_for_memory": waits,
            "candidates": [
                {**candidate._asdict(), "cost": cost, "wait_s": wait_s(candidate, worker.running.punctuality, now)}
                for candidate, worker, cost in rows
            ],
        }
