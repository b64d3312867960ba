"""Traces replayed under a virtual clock: the serving policies and decision code in front of the engine model.

Nouns: the *timeline* is the virtual clock with what is still to happen; an *arm* is what is compared: a policy, or a
limit like the oracle; a *scenario* is the traffic and the fleet that all arms meet; a *run* is one arm in one scenario
under one seed; an *outcome* is one request's fate; a *summary* is what a run's outcomes come to.
"""
