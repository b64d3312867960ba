"""The router: HTTP in front, workers behind, and the decision in between.

Nouns: a *worker* is one engine endpoint; a *prompt* is what the engine will see; a *candidate* is a snapshot of a
worker for one request; a *selection* is the policy's answer; a *lease* is a running request; a *passage* is one
prompt's way through the prefix index. Life of a request: ask (`http/prompt_route.py`), decide (`decide.py`), act
(`http/relay.py`), learn.
"""
