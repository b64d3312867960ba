"""What the router answers: prompts, other requests, WebSocket sessions, and its own pages.

Nouns: the *gateway* is the ASGI application in front, and the outermost boundary of every request; a *route* serves one
kind of request; the *control plane* is the application behind it, for health, metrics, models and operators.
"""
