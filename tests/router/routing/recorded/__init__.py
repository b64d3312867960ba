"""Recorded traffic, and what was decided on it: a change that shall change no decision must decide the same again.

`events.jsonl.gz` is what the routers of four simulated fleets were told (`record`); it is told to one router here.
`decisions.json.gz` is what that one decided (`replay`). Write them anew only for a change that means to decide
differently, and say in its commit how many decisions differ:

    python -m tests.router.routing.recorded.record
    python -m tests.router.routing.recorded.replay
"""
