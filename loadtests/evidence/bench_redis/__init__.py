"""How fast the shared prefix index is at scale: 10 million blocks, 1,000 workers, prompts of 100,000 tokens.

Nouns: a *scene* is what Redis holds and the chains that are asked for; a *case* is one block size and one number of
depths at which holders of the asked chains end; `plain` is the usual layout beside it, one hash per block, asked with
one HKEYS each.
"""
