"""Shows the decision for a request and its reason, per candidate, and whose turn it is. Sends and records nothing."""

import time
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from router.http.prompt_route import PromptRoute
from router.relay.retry import gave_up
from router.routing.asked import Asked
from router.routing.choose import Chooser, available
from router.routing.decide import Decision, NoWorkerError
from router.routing.recognition import Recognition
from router.routing.saturation import wait_s
from router.routing.waiting_room import WaitingRoom
from router.sessions.admission.admission import SessionAdmission
from router.sessions.admission.explained import room_explained, turn_explained


@dataclass(frozen=True, slots=True)
class Explainer:
    """Takes the first steps of the loop, and stops."""

    prompts: PromptRoute
    recognition: Recognition
    chooser: Chooser
    waiting_room: WaitingRoom
    admission: SessionAdmission
    policy_name: str

    async def explain(self, api: str, body: bytes) -> dict[str, Any]:
        """The decision as JSON. Raises ApiError like the request itself would."""
        asked = self.chooser.with_turn(await self.recognition.complete(await self.prompts.ask(api, body)))
        try:
            sight = await self.chooser.look(asked)
            chosen = self.chooser.choose(asked, sight)
            every = chosen is not None and len(chosen.workers) == len(sight.workers)
            among_all = chosen if every else self.chooser.choose(replace(asked, turn=None), sight)
        except NoWorkerError:
            raise gave_up("") from None
        decision = chosen or among_all
        assert decision is not None
        assert among_all is not None
        prompt = asked.prompts.get(decision.worker.format)
        return {
            "worker": decision.worker.id,
            "reason": decision.selection.reason,
            "policy": self.policy_name,
            "prompt_tokens": prompt.tokens if prompt is not None else 0,
            "exact": prompt.exact if prompt is not None else False,
            "source": prompt.source if prompt is not None else "",
            "waits_for_memory": chosen is None,
            "in_line": sum(ticket.group == asked.group.name for ticket in self.waiting_room.line.tickets),
            "session": turn_explained(self.admission, asked.turn, available(asked.group))
            if asked.turn is not None
            else None,
            "candidates": self._candidates(asked, among_all),
        }

    def _candidates(self, asked: Asked, decision: Decision) -> list[dict[str, Any]]:
        """Those without room too."""
        costs, now = self.chooser.costs(asked, decision), time.monotonic()
        return [
            {
                **candidate._asdict(),
                "rank": worker.rank if len(worker.ranks) > 1 else None,
                "cost": cost,
                "wait_s": wait_s(candidate, worker.running.lateness, now),
                **(room_explained(self.admission, asked.turn, worker) if asked.turn is not None else {}),
            }
            for candidate, worker, cost in zip(decision.candidates, decision.workers, costs, strict=True)
        ]
