"""Attempts at workers: sends a request to one and relays its answer.

Nouns: an *attempt* counts a request as a worker's, from dispatch to its last byte; its *outcome* says what came of it,
and `retry` what comes next; the *worker client* keeps connections to workers; a *worker answer* is read off one of
them; the *budget* bounds the attempts that follow failed ones.
"""
