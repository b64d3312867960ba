"""The workers: their state, their load, their health, and which model each one serves.

Nouns: a *worker* is one engine endpoint; a *group* is the workers that serve one model; a *lease* counts one running
request; a *breaker* keeps requests away from a worker that fails. A *part* is the load that one router has on every
worker, packed into one string in Redis; *elsewhere* is what all other routers have on one worker.
"""
