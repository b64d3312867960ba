"""One memory for several routers: recorded agent sessions through one router and through many.

Nouns: a *course* is a stretch of a recorded session, as request bodies; an *arm* is a way of running routers (how many,
sharing or not); a *replay* is all courses through one arm, each request to a router at random.
`python -m loadtests.replicas --sessions FILE`.
"""
