"""From a request to its prompt: which encoder reads it, where it runs, and whom to ask.

Nouns: an *encoder* turns the requests of one model and prompt format into prompts; the *pool* runs encoders off the
event loop; to *recall* is to learn from other routers what they know of a conversation; to *ask* is to have a worker
tell the token ids of a prompt that cannot be rendered here.
"""
