"""What an engine says about itself, and how to ask it.

Nouns: an *engine* is the kind of server behind a worker (vLLM, SGLang or unknown). *Facts* stay true while its process
lives. A *load* is one reading of its gauges and counters. The router asks for all of it off the hot path, over httpx,
and every bad answer becomes one `WorkerAnswerError`.
"""

from router.engines.answers import NO_ANSWERS, AnswerFault, WorkerAnswerError, control_client, fetch
from router.engines.detect import detect
from router.engines.engine import Engine, EngineKind, EventPorts, Facts, Load, ModelCard, restarted

__all__ = [
    "NO_ANSWERS",
    "AnswerFault",
    "Engine",
    "EngineKind",
    "EventPorts",
    "Facts",
    "Load",
    "ModelCard",
    "WorkerAnswerError",
    "control_client",
    "detect",
    "fetch",
    "restarted",
]
