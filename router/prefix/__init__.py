"""The prefix index: which worker probably holds which blocks.

Nouns: a *block* is a fixed run of token ids; a *chain* is a prompt's block hashes; a *holder* is one incarnation of a
worker; a *record* is one fact about one holder; *pending* blocks are still being prefilled. In the tree a *run* is the
sequence of blocks that one *node* stands for, and a *holding* is the part of one run that one holder has: its first
*extent* blocks. `index` is the contract. The index in memory is `tree`, built on `residency` (what records mean),
`radix` (the shape of the tree), `lookup` (reading it) and `node` (its parts). `shared` is the index in Redis. `batcher`
writes records off the hot path, for every index.
"""
