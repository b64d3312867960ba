"""HTTP towards the client: the rules for a connection, and the state of one request.

Nouns: the *protocol* guards a connection. An *exchange* is one client request and its answer. *Routes* say what each
path is. A *tunnel* is a connection that has become a WebSocket.
"""
