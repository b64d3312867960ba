"""Sessions, known by their prompts alone, and which of them may use which worker's KV memory now.

Nouns:

- A *session* is a chain of prompts of which each extends the one before. A *turn* is one request of it.
- A prompt's *leaf* is the hash of its last whole block. Its *footprint* is the KV tokens that it needs.
- A session is *inside* while its memory is kept for it. Its *lease* is for how long that is after an answer.
- A worker's *working set* is what the sessions inside it need together, shared beginnings once. It is the *place* of
  each of them.
- A *claim* is room that is made for a turn which has waited for long enough. A *family* is sessions that their clients
  say belong together. A model's *demand* is what its sessions ask of its workers.
- *T\\** is the time in which a worker recomputes its whole KV pool.

Rooms, from top to bottom: `shared` (what the routers tell each other of their sessions), `admission` (which session may
go where, and for how long it waits), `recognition` (whose turn a prompt is), `memory` (what sessions need of a worker).
All but `shared/book_exchange.py` are pure but for the clock that they are given: the simulator runs the same code.
"""
