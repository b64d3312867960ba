"""Recorded traffic, whatever it was recorded by, in one form.

Nouns: a *turn* is one request with its answer; a *script* is a session's turns in order, as recorded; a *chain* is a
prompt's block hashes (64 tokens each), of which a turn keeps only what the turn before it did not have.
"""
