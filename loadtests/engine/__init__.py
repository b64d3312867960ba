"""An emulated engine: one vLLM (or SGLang) worker without a GPU, speaking its HTTP, for demos, tests and benchmarks.

Nouns: a *pool* is the paged KV memory, in blocks; a *run* is a stretch of cached blocks that live and die together; a
*sequence* is one prompt being answered; a *step* is one pass of the model over the scheduled tokens; a *profile* is a
calibrated model and GPU; a *fault* is misbehaviour on command. `kv_pool`, `scheduler` and `profiles` are pure: time is
handed in, so that the same engine model runs in real time here and under a virtual clock elsewhere.
"""
