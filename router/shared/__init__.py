"""What the routers of one deployment share through Redis or Valkey. It is a hint: no request waits for it or fails
with it.

Nouns: the *link* is this process's one connection, with its deadlines, breaker and reconnection. An *address* says
where the server is now. A *command* is sent; a *reply* comes back in time, or a *failure* says why none did. A *script*
is one Lua file. `keys` is the page of every key. `wire` is the connection itself, `counters` its metrics.
"""
