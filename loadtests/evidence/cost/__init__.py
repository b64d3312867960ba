"""What one request costs the router: CPU time, added latency and memory, beside other routers.

Nouns: a *case* is one kind of request (body size, stream chunks, number of workers); an *arm* is one router under
test, or `direct`, the client talking to a worker with nothing between; a *run* is one arm in one case, once. Every run
starts a fresh router process on a core of its own, and counts that process's CPU time, not the wall clock. Arms
alternate within a repeat, so that a noisy minute hurts all of them. Run as `python -m loadtests.evidence.cost --help`.
"""
