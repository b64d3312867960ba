"""KV events: what engines tell of the blocks that they store and remove.

Nouns: a *batch* is one message of an engine, numbered from 0 in each of its processes; a *source* is where a worker's
batches come from; a *cell* is one block of our chain, made of one or more engine blocks; a *ledger* is what one worker
holds, cell by cell. A process beside the router listens and keeps the ledgers; the router hears of changes alone.
"""
