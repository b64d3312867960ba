"""What the routers of one deployment share through Redis or Valkey. It is a hint: no request waits for it or fails
with it.

Nouns: the *link* is this process's one connection, with its deadlines, breaker and reconnection; an *address* is where
the server is found, now; a *command* is what is sent, a *reply* what comes back in time, and a *failure* why nothing
did; a *script* is one Lua file. `keys` is the page of every key. `wire` is the connection itself, `counters` what
operators see of it.
"""
