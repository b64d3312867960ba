"""The router: HTTP in front, workers behind, and the decision in between.

Rooms, from top to bottom; each imports only what is below it, which `make check` enforces: `build` (a router from its
settings), `processes` (several on one port), `settings`, `http` (what answers), `relay` (one attempt at one worker),
`routing` (the decision), `wire` (a connection, a request), `members` (which workers are in the fleet) and `prompts`
(from a request to its tokens), `fleet` (workers and their load), `clients` and `prefix` (the index), `engines` (what
they say of themselves), `shared` (Redis), `observe`, `dial` (where workers may be).

Nouns: a *worker* is one engine endpoint; a *prompt* is what the engine will see; a *candidate* is a snapshot of a
worker for one request; a *selection* is the policy's answer; a *lease* is a running request. Life of a request:
`http/loop.py`.
"""
