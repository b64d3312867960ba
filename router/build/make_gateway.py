"""The request's path, put together from a router's parts: the gateway, its routes, and the control plane beside it."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import policies
from router.build.basics import Basics
from router.build.limits import gateway_rules, realtime_limits
from router.build.make_dial import Dial
from router.build.make_members import Members
from router.build.make_prompts import Prompts
from router.build.make_sharing import Sharing
from router.clients import Clients
from router.fleet.worker import Worker
from router.fleet.workers import Fleet
from router.http.control import ControlState, control_app
from router.http.explain import Explainer
from router.http.gateway import Gateway, GatewayParts, GatewayRules, Tracer, Ways
from router.http.late_tokens import LateTokens
from router.http.lessons import Lessons
from router.http.load_route import LoadRoute
from router.http.loop import Loop, LoopParts, Way
from router.http.prompt_route import PromptRoute
from router.http.realtime import Dialer, RealtimeRoute, Sessions
from router.members.entry import Standing
from router.members.registry import SPREAD_S
from router.observe.access_log import AccessLog
from router.prefix.index import PrefixIndex
from router.prefix.timed import TimedIndex
from router.prefix.tree import TreeIndex
from router.prompts.reading import Reading
from router.relay.relay import Relay, RelayLimits
from router.relay.retry import RATIO, RetryBudget
from router.relay.worker_client import WorkerClient
from router.routing.choose import Chooser
from router.routing.decide import Decider
from router.routing.owners import ResponseOwners, SharedOwners
from router.routing.recognition import Recognition
from router.routing.waiting_room import WaitingRoom
from router.sessions.admission.admission import SessionAdmission
from router.sessions.recognition.hints import HintReader
from router.sessions.shared.fleet_book import FleetBook
from router.shadow.shadows import Shadows
from router.status.decisions import DecisionLog
from router.status.status import StatusParts
from router.trace_file.writer import TraceFile
from router.wire.watchdog import Watchdog


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayInputs:
    """Everything that a request passes through."""

    basics: Basics
    fleet: Fleet
    index: PrefixIndex
    tree: TreeIndex
    """This router's own index: `index` itself, or beside it."""
    sharing: Sharing | None
    shadows: Shadows
    dial: Dial
    members: Members
    prompts: Prompts
    clients: Clients
    waiting_room: WaitingRoom
    admission: SessionAdmission
    book: FleetBook
    client: WorkerClient
    watchdog: Watchdog
    access_log: AccessLog
    trace_file: TraceFile
    tracing: Tracer | None
    page: Callable[[], Awaitable[bytes]]
    """Makes the metrics page, off the event loop."""
    draining: Callable[[], bool]


def make_gateway(inputs: GatewayInputs) -> Gateway:
    """The gateway, with every route and the control plane behind it."""
    basics, fleet, prompts = inputs.basics, inputs.fleet, inputs.prompts
    loop_parts = _loop_parts(inputs)
    reading = Reading(prompts.reader, prompts.pool)
    route = PromptRoute(fleet, reading, prompts.encoders, HintReader(basics.secret))
    explainer = Explainer(
        prompts=route,
        recognition=loop_parts.recognition,
        chooser=loop_parts.chooser,
        waiting_room=inputs.waiting_room,
        admission=inputs.admission,
        policy_name=loop_parts.policy_name,
    )
    relay = _relay(inputs)
    ways = Ways(
        prompts=Way(route, relay),
        others=Way(LoadRoute(fleet, reading), relay),
        realtime=Way(RealtimeRoute(fleet), _sessions(inputs)),
    )
    rules = gateway_rules(basics.settings, basics.tuning, inputs.clients)
    control: Any = control_app(_control_state(inputs, explainer, rules, loop_parts.decisions))
    return Gateway(
        rules,
        GatewayParts(
            loop=Loop(loop_parts),
            ways=ways,
            control=control,
            watchdog=inputs.watchdog,
            instruments=basics.instruments,
            access_log=inputs.access_log,
            trace_file=inputs.trace_file,
            tracing=inputs.tracing,
            decisions=loop_parts.decisions,
        ),
    )


def _loop_parts(inputs: GatewayInputs) -> LoopParts:
    basics, prompts = inputs.basics, inputs.prompts
    settings, instruments = basics.settings, basics.instruments
    index = TimedIndex(inputs.index, instruments.match)
    recall = inputs.sharing.recall if inputs.sharing else None
    owners = _owners(inputs)
    return LoopParts(
        owners=owners,
        recognition=Recognition(prompts.pool, recall, instruments.degraded, settings.forward_token_ids),
        chooser=Chooser(inputs.fleet, _decider(inputs, index), inputs.waiting_room, inputs.book),
        index=index,
        late_tokens=LateTokens(prompts.pool, prompts.asker, recall),
        lessons=Lessons(inputs.fleet, owners, instruments),
        budget=RetryBudget(RATIO, settings.max_attempts),
        instruments=instruments,
        policy_name=settings.policy,
        forward_ids=settings.forward_token_ids,
        asks_usage=settings.ask_usage,
        keep_alive_s=settings.stream_keepalive_s,
        decisions=DecisionLog(),
        shadows=inputs.shadows,
    )


def _decider(inputs: GatewayInputs, index: PrefixIndex) -> Decider:
    basics = inputs.basics
    policy = policies.build(basics.settings.policy, basics.rng)
    return Decider(policy, index, basics.rng, load=inputs.sharing.load if inputs.sharing else None)


def _relay(inputs: GatewayInputs) -> Relay:
    settings, tuning = inputs.basics.settings, inputs.basics.tuning
    limits = RelayLimits(settings.first_byte_timeout_s, settings.silence_timeout_s, tuning.client_timeout_s)
    return Relay(inputs.client, inputs.watchdog, limits, inputs.basics.instruments.inter_token)


def _sessions(inputs: GatewayInputs) -> Sessions:
    limits = realtime_limits(inputs.basics.settings, inputs.basics.tuning)
    return Sessions(Dialer(inputs.dial.resolver, limits, inputs.dial.tls), limits, inputs.draining)


def _owners(inputs: GatewayInputs) -> ResponseOwners:
    basics, sharing = inputs.basics, inputs.sharing
    shared = SharedOwners(sharing.link, basics.keys, basics.seal("response")) if sharing else None
    return ResponseOwners(inputs.fleet, shared)


def _control_state(
    inputs: GatewayInputs, explainer: Explainer, rules: GatewayRules, decisions: DecisionLog
) -> ControlState:
    members = inputs.members
    registry, started_at = members.registry, int(time.time())
    return ControlState(
        members=members.membership,
        page=inputs.page,
        clients=rules.clients,
        admin_keys=rules.admin_keys,
        draining=inputs.draining,
        explainer=explainer,
        decided=registry.decide if registry is not None else _ignore,
        spread_s=SPREAD_S if registry is not None else 0.0,
        started_at=started_at,
        open_status=inputs.basics.settings.open_status,
        status=StatusParts(
            fleet=inputs.fleet,
            admission=inputs.admission,
            waiting_room=inputs.waiting_room,
            residency=inputs.tree.residency,
            instruments=inputs.basics.instruments,
            decisions=decisions,
            policy_name=inputs.basics.settings.policy,
            started_at=started_at,
            draining=inputs.draining,
            sharing=partial(_sharing_told, inputs),
            savings=inputs.shadows.savings,
            savings_table=inputs.shadows.savings_table,
        ),
    )


def _sharing_told(inputs: GatewayInputs) -> dict[str, Any]:
    """What this router shares with others, for the status."""
    sharing, counters = inputs.sharing, inputs.sharing.link.counters if inputs.sharing is not None else None
    return {
        "redis": sharing is not None,
        "redis_up": counters is not None and counters.up,
        "secret_differs": counters is not None and counters.secret_differs,
        "redis_memory_bytes": sharing.upkeep.used_bytes if sharing is not None else 0,
        "queued_records": len(sharing.index.batcher) if sharing is not None else 0,
        "routers": sharing.load.routers if sharing is not None else 1,
        "processes": inputs.basics.settings.processes,
    }


def _ignore(worker: Worker, standing: Standing, added: bool) -> None:
    """Without a registry, decisions stay in this router."""
