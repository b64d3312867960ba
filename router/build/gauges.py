"""Single values, read from their owners when they are scraped."""

from router.build.make_prompts import Prompts
from router.build.make_sharing import Sharing
from router.clients import Clients
from router.dial.certificates import Renewal
from router.http.gateway import Gateway
from router.observe.access_log import AccessLog
from router.observe.metrics import Gauge
from router.prefix.shared import SharedIndex
from router.prefix.tree import TreeIndex
from router.routing.waiting_room import WaitingRoom
from router.trace_file.writer import TraceFile
from router.wire.body import BodyBudget


def request_gauges(gateway: Gateway, bodies: BodyBudget, room: WaitingRoom) -> list[Gauge]:
    """Of requests that are not answered yet."""
    return [
        ("warmroute_requests_in_flight", "Requests that the router is working on.", lambda: gateway.in_flight),
        ("warmroute_buffered_body_bytes", "Request bodies held.", lambda: bodies.used_bytes),
        ("warmroute_queue_depth", "Prompts that wait for a worker.", lambda: len(room)),
    ]


def index_gauges(tree: TreeIndex, index: TreeIndex | SharedIndex) -> list[Gauge]:
    """Of the prefix index, as this router has it in memory."""
    residency = tree.residency
    return [
        ("warmroute_index_blocks", "Blocks in the prefix index.", lambda: residency.tree.blocks),
        ("warmroute_index_nodes", "Nodes of the prefix index.", lambda: residency.tree.nodes),
        ("warmroute_index_pending", "Prompts that are being prefilled.", lambda: residency.pendings),
        ("warmroute_index_refused_total", "Records refused: the index was full.", lambda: index.refused),
        ("warmroute_index_evicted_total", "Blocks forgotten: the KV pool was full.", lambda: residency.evicted),
    ]


def sharing_gauges(sharing: Sharing | None) -> list[Gauge]:
    """Of what routers share; zero, and one router, where nothing is shared."""
    return [
        (
            "warmroute_index_queued",
            "Records that wait to be written to Redis.",
            lambda: len(sharing.index.batcher) if sharing else 0,
        ),
        (
            "warmroute_index_told_total",
            "Chains written again after Redis lost them.",
            lambda: sharing.upkeep.restored if sharing else 0,
        ),
        (
            "warmroute_redis_memory_bytes",
            "Memory of the Redis server.",
            lambda: sharing.upkeep.used_bytes if sharing else 0,
        ),
        ("warmroute_routers", "Routers that share the load.", lambda: sharing.load.routers if sharing else 1),
    ]


def prompt_gauges(prompts: Prompts) -> list[Gauge]:
    """Of the making of prompts."""
    pool, encoders = prompts.pool, prompts.encoders
    return [
        ("warmroute_encode_backlog", "Prompts being encoded or waiting for it.", lambda: pool.backlog),
        ("warmroute_encode_refused_total", "Prompts not encoded: too many waited.", lambda: pool.refused),
        (
            "warmroute_conversations_taken_total",
            "Boundaries of conversations taken over from sibling processes.",
            lambda: encoders.taken,
        ),
        ("warmroute_tokenizers_loading", "Tokenizers still to be loaded.", lambda: encoders.loading),
    ]


def file_gauges(clients: Clients, access_log: AccessLog, trace_file: TraceFile, renewal: Renewal) -> list[Gauge]:
    """Of files that are read again when they change, and of the log."""
    return [
        ("warmroute_keys_file_broken", "1 when the keys file cannot be used.", lambda: float(clients.broken)),
        ("warmroute_keys_file_reloads_total", "Changed keys files read.", lambda: clients.reloads),
        ("warmroute_access_lines_dropped_total", "Access log lines dropped.", lambda: access_log.dropped),
        ("warmroute_trace_lines_dropped_total", "Trace file lines dropped.", lambda: trace_file.dropped),
        ("warmroute_certificates_renewed_total", "Renewed certificates taken.", lambda: renewal.renewed),
        ("warmroute_certificates_failed_total", "Certificates not taken.", lambda: renewal.failed),
    ]
