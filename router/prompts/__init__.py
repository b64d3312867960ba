"""From a request to its prompt: which encoder reads it, in which thread it runs, and which worker or router is asked.

Nouns: an *encoder* turns the requests of one model and prompt format into prompts. The *pool* runs encoders off the
event loop. To *recall* is to learn from other routers what they know about a conversation. To *ask* is to get the token
ids of a prompt from a worker, when it cannot be rendered here.
"""
