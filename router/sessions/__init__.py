"""Sessions, known by their prompts alone, and which of them may use which worker's KV memory now.

Nouns: a *session* is a chain of prompts of which each extends the one before; a *turn* is one request of it; its
*leaf* is the hash of a prompt's last whole block; its *footprint* is the KV tokens that it needs; a worker's *working
set* is what the sessions inside it need together, shared beginnings once; a session is *inside* while its memory is
kept for it; its *lease* is for how long that is after an answer; *T\\** is the time in which a worker recomputes its
whole pool. This room is pure but for the clock that it is given: the simulator runs the same code.
"""
