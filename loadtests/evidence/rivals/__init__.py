"""Every router in front of the same emulated engines, with the same sessions, beside an oracle that needs none.

Nouns: an *arm* is one router with one policy, alone or in replicas; a *scenario* is the traffic, the engines, and what
happens to them; a *cell* is one arm in one scenario, once. `python -m loadtests.evidence.rivals --sessions FILE`.
"""
