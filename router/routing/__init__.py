"""The decision: which worker gets a request, or that it must wait.

Nouns: a *decision* is the policy's selection among candidates, with its reason; a *prompt record* writes one prompt's
records for one worker to the index; the *owner* of a stored response is the worker that made it. A worker is
*saturated* for a request that would wait there longer than the bound, in seconds, before its prefill begins; a request
that waits in the router has a *ticket*, and tickets of one client and one model stand in a *lane*.
"""
