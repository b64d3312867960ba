"""The router: HTTP in front, workers behind, and the decision in between.

Rooms, from top to bottom. Each imports only what is below it, which `make check` enforces:

- `check` looks at everything before a start, `build` makes a router of its settings, `processes` runs several on one
  port, `settings` declares what an operator can set;
- `http` serves every request, `status` shows what the router does, `shadow` asks what other policies would have found,
  `trace_file` records what passed;
- `relay` makes one attempt at one worker, `routing` decides which, `wire` speaks HTTP with clients;
- `kv_events` hears of engines' blocks, `members` says which workers are in the fleet, `prompts` makes tokens of a body;
- `sessions` says whose turn may use which KV memory, `fleet` knows workers and their load;
- `clients` knows keys and limits, `prefix` is the index, `engines` reads what engines say of themselves;
- `shared` is Redis, `tasks` runs background tasks, `observe` counts and logs, `dial` says where workers may be.

Nouns: a *worker* is one engine endpoint; a *prompt* is what the engine will see; a *candidate* is a snapshot of a
worker for one request; a *selection* is the policy's answer; a *lease* is a running request. Life of a request:
`http/loop.py`.
"""
