"""Recorded traffic against a live `base_url`, in real time: `warmroute-lab replay`.

Nouns: a *conversation* is a recorded session as request bodies; an *ask* is one of its requests, with the pause before
it; a *pace* is how many conversations run when; a *record* is what the client saw of one request; a *sight* is what an
engine's own counters said at one moment.
"""
