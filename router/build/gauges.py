"""Single values of a router, read from their owners when they are scraped."""

from typing import TYPE_CHECKING

from router.build.make_sharing import sharing_gauges
from router.observe.metrics import Gauge

if TYPE_CHECKING:
    from router.build.app import Router


def gauges_of(router: "Router") -> list[Gauge]:
    """Names, help and readers."""
    tree = router.tree.residency.tree
    return [
        ("warmroute_requests_in_flight", "Requests that the router is working on.", lambda: router.gateway.in_flight),
        ("warmroute_buffered_body_bytes", "Request bodies held.", lambda: router.body_budget.used_bytes),
        ("warmroute_index_blocks", "Blocks in the prefix index.", lambda: tree.blocks),
        ("warmroute_index_nodes", "Nodes of the prefix index.", lambda: tree.nodes),
        ("warmroute_index_pending", "Prompts that are being prefilled.", lambda: router.tree.residency.pendings),
        ("warmroute_index_refused_total", "Records refused: the index was full.", lambda: router.index.refused),
        (
            "warmroute_index_evicted_total",
            "Blocks forgotten: the KV pool was full.",
            lambda: router.tree.residency.evicted,
        ),
        *sharing_gauges(router.sharing),
        ("warmroute_queue_depth", "Prompts that wait for a worker.", lambda: len(router.room)),
        ("warmroute_keys_file_broken", "1 when the keys file cannot be used.", lambda: float(router.clients.broken)),
        ("warmroute_keys_file_reloads_total", "Changed keys files read.", lambda: router.clients.reloads),
        ("warmroute_encode_backlog", "Prompts being encoded or waiting for it.", lambda: router.pool.backlog),
        ("warmroute_encode_refused_total", "Prompts not encoded: too many waited.", lambda: router.pool.refused),
        (
            "warmroute_conversations_taken_total",
            "Boundaries of conversations taken over from sibling processes.",
            lambda: router.encoders.taken,
        ),
        ("warmroute_tokenizers_loading", "Tokenizers still to be loaded.", lambda: router.encoders.loading),
        ("warmroute_access_lines_dropped_total", "Access log lines dropped.", lambda: router.access_log.dropped),
        ("warmroute_routers", "Routers that share the load.", lambda: router.load.routers if router.load else 1),
        ("warmroute_certificates_renewed_total", "Renewed certificates taken.", lambda: router.renewal.renewed),
        ("warmroute_certificates_failed_total", "Certificates not taken.", lambda: router.renewal.failed),
        ("warmroute_loop_stall_seconds", "The event loop's longest stall.", lambda: router.lag.worst_s),
    ]
