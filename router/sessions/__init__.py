"""Sessions, known by their prompts alone, and which of them may use which worker's KV memory now.

Nouns: a *session* is a chain of prompts of which each extends the one before; a *turn* is one request of it; its
*leaf* is the hash of a prompt's last whole block; its *footprint* is the KV tokens that it needs; a worker's *working
set* is what the sessions inside it need together, shared beginnings once; a session is *inside* while its memory is
kept for it; its *lease* is for how long that is after an answer; *T\\** is the time in which a worker recomputes its
whole pool.

Rooms, from top to bottom: `shared` (what the routers tell each other of their sessions), `admission` (which session may
go where, and for how long it waits), `recognition` (whose turn a prompt is), `memory` (what sessions need of a worker).
All but `shared/book_exchange.py` are pure but for the clock that they are given: the simulator runs the same code.
"""
