"""HTTP towards the client: what a connection may do, and what one request is.

Nouns: the *protocol* guards a connection; an *exchange* is one client request and its answer; *routes* say which path
is what; a *tunnel* is a connection that has become a WebSocket.
"""
