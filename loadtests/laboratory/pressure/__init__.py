"""Closed loops of sessions in a fleet that is short of memory: `warmroute-lab pressure`.

Nouns: a *cell* is a fleet, its traffic and the ratio of what the users' contexts take to its memory; an *arm* is a
value of `session_wait_s`, 0 for none of it; the *bound* is what no router can pass (`bound.py`); the *floor* is the
time of one round of loads, below which no wait can be bounded.
"""
