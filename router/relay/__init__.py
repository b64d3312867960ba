"""One attempt at one worker: the request goes there, the answer comes back.

Nouns: a *choice* is one attempt; the *worker client* keeps connections to workers; a *worker answer* is read off one of
them; the *budget* says whether another attempt may follow a failed one.
"""
