"""The request's path, put together from a router's parts: the gateway, its routes, and the control plane beside it."""

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import policies
from router.build.gauges import gauges_of
from router.build.limits import admission_of, realtime_limits
from router.fleet.metrics import WorkerCollector
from router.http.control import ControlState, control_app
from router.http.gateway import Admission, Gateway, Parts
from router.http.load_route import LoadRoute
from router.http.prompt_route import PromptRoute, PromptTools
from router.http.realtime import Dialer, RealtimeRoute
from router.members.metrics import DiscoveryCollector
from router.members.registry import SPREAD_S
from router.observe.metrics import GaugeCollector, MetricsPage
from router.prompts.metrics import EncoderCollector
from router.relay.relay import Relay, RelayLimits
from router.relay.retry import RetryBudget
from router.routing.decide import Decider
from router.routing.owners import ResponseOwners, SharedOwners
from router.settings import Settings
from router.shared.keys import Keys

if TYPE_CHECKING:
    from router.build.app import Router


def make_exposition(router: "Router") -> MetricsPage:
    """All that one process has to say at `/metrics`."""
    return MetricsPage(
        (
            router.instruments,
            router.link_counters,
            WorkerCollector(router.fleet.workers.values),
            EncoderCollector(lambda: router.encoders.exact, router.reader, router.encoders.room),
            GaugeCollector(gauges_of(router)),
            DiscoveryCollector(router.discovery, time.monotonic),
            router.lag,
        )
    )


def make_gateway(router: "Router", settings: Settings) -> Gateway:
    """Every route, behind the one door. The router's other parts must have been made."""
    instruments = router.instruments
    decider = Decider(policies.build(settings.policy, router.rng), router.index, instruments.match, router.rng)
    decider.load = router.load
    relay = _relay(router, settings)
    shared = SharedOwners(router.link, Keys(settings.redis_prefix), router.seal("response")) if router.link else None
    owners = ResponseOwners(router.fleet, shared)
    tools = PromptTools(
        router.fleet,
        decider,
        router.index,
        router.reader,
        router.encoders,
        router.pool,
        relay,
        owners,
        router.room,
        instruments,
        router.asker,
        router.sharing.recall if router.sharing else None,
    )
    prompts = PromptRoute(tools, settings.policy, settings.encode_wait_share, settings.forward_token_ids)
    others = LoadRoute(router.fleet, decider, relay, owners)
    limits = realtime_limits(settings)
    dialer = Dialer(router.resolver, limits, router.worker_tls)
    realtime = RealtimeRoute(router.fleet, decider, dialer, limits, lambda: router.server.draining)
    admission = admission_of(settings, router.clients)
    state = _control_state(router, prompts, admission)
    app: Any = control_app(state)
    parts = Parts(prompts, others, realtime, app, router.watchdog, instruments, router.access_log, router.tracing)
    return Gateway(admission, parts)


def _relay(router: "Router", settings: Settings) -> Relay:
    return Relay(
        router.client,
        router.watchdog,
        RelayLimits(settings.first_byte_timeout_s, settings.silence_timeout_s, settings.write_timeout_s),
        RetryBudget(settings.retry_budget, settings.max_attempts),
        router.instruments,
    )


def _control_state(router: "Router", prompts: PromptRoute, admission: Admission) -> ControlState:
    page = router.siblings.page if router.siblings else partial(asyncio.to_thread, router.exposition.render)
    state = ControlState(router.members, page, admission.clients, admission.admin_keys, lambda: router.server.draining)
    state.prompts = prompts
    if router.registry is not None:
        state.decided = router.registry.decide
        state.spread_s = SPREAD_S
    return state
