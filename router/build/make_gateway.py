"""The request's path, put together from a router's parts: the gateway, its routes, and the control plane beside it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import policies
from router.build.common import Common
from router.build.limits import admission_of, realtime_limits
from router.build.make_dial import Dial
from router.build.make_members import Members
from router.build.make_prompts import Prompts
from router.build.make_sharing import Sharing
from router.clients import Clients
from router.fleet.workers import Fleet
from router.http.control import ControlState, control_app
from router.http.gateway import Admission, Gateway, Parts, Tracer
from router.http.load_route import LoadRoute
from router.http.prompt_route import PromptRoute, PromptTools
from router.http.realtime import Dialer, RealtimeRoute
from router.members.registry import SPREAD_S
from router.observe.access_log import AccessLog
from router.prefix.index import PrefixIndex
from router.prefix.timed import TimedIndex
from router.prompts.reading import Reading
from router.relay.relay import Relay, RelayLimits
from router.relay.retry import RATIO, RetryBudget
from router.relay.worker_client import WorkerClient
from router.routing.decide import Decider
from router.routing.owners import ResponseOwners, SharedOwners
from router.routing.waiting_room import WaitingRoom
from router.wire.watchdog import Watchdog


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayInputs:
    """Everything that a request passes through."""

    common: Common
    fleet: Fleet
    index: PrefixIndex
    sharing: Sharing | None
    dial: Dial
    members: Members
    prompts: Prompts
    clients: Clients
    room: WaitingRoom
    client: WorkerClient
    watchdog: Watchdog
    access_log: AccessLog
    tracing: Tracer | None
    page: Callable[[], Awaitable[bytes]]
    """Makes the metrics page, off the event loop."""
    draining: Callable[[], bool]


def make_gateway(inputs: GatewayInputs) -> Gateway:
    """Every route, behind the one door."""
    settings, fleet = inputs.common.settings, inputs.fleet
    decider, relay, owners = _decider(inputs), _relay(inputs), _owners(inputs)
    tools = _prompt_tools(inputs, decider, relay, owners)
    prompts = PromptRoute(tools, settings.policy, settings.forward_token_ids)
    others = LoadRoute(fleet, decider, relay, owners, Reading(inputs.prompts.reader, inputs.prompts.pool))
    limits = realtime_limits(settings, inputs.common.tuning)
    dialer = Dialer(inputs.dial.resolver, limits, inputs.dial.tls)
    realtime = RealtimeRoute(fleet, decider, dialer, limits, inputs.draining)
    admission = admission_of(settings, inputs.clients)
    control: Any = control_app(_control_state(inputs, prompts, admission))
    return Gateway(
        admission,
        Parts(
            prompts=prompts,
            others=others,
            realtime=realtime,
            control=control,
            watchdog=inputs.watchdog,
            instruments=inputs.common.instruments,
            access_log=inputs.access_log,
            tracing=inputs.tracing,
        ),
    )


def _decider(inputs: GatewayInputs) -> Decider:
    common = inputs.common
    policy = policies.build(common.settings.policy, common.rng)
    index = TimedIndex(inputs.index, common.instruments.match)
    return Decider(policy, index, common.rng, load=inputs.sharing.load if inputs.sharing else None)


def _relay(inputs: GatewayInputs) -> Relay:
    settings = inputs.common.settings
    return Relay(
        inputs.client,
        inputs.watchdog,
        RelayLimits(settings.first_byte_timeout_s, settings.silence_timeout_s, settings.client_timeout_s),
        RetryBudget(RATIO, settings.max_attempts),
        inputs.common.instruments,
    )


def _owners(inputs: GatewayInputs) -> ResponseOwners:
    common, sharing = inputs.common, inputs.sharing
    shared = SharedOwners(sharing.link, common.keys, common.seal("response")) if sharing else None
    return ResponseOwners(inputs.fleet, shared)


def _prompt_tools(inputs: GatewayInputs, decider: Decider, relay: Relay, owners: ResponseOwners) -> PromptTools:
    prompts = inputs.prompts
    return PromptTools(
        fleet=inputs.fleet,
        decider=decider,
        index=inputs.index,
        reader=prompts.reader,
        encoders=prompts.encoders,
        pool=prompts.pool,
        relay=relay,
        owners=owners,
        room=inputs.room,
        instruments=inputs.common.instruments,
        asker=prompts.asker,
        recall=inputs.sharing.recall if inputs.sharing else None,
    )


def _control_state(inputs: GatewayInputs, prompts: PromptRoute, admission: Admission) -> ControlState:
    members = inputs.members
    state = ControlState(members.membership, inputs.page, admission.clients, admission.admin_keys, inputs.draining)
    state.prompts = prompts
    if members.registry is not None:
        state.decided = members.registry.decide
        state.spread_s = SPREAD_S
    return state
