"""From raw request bytes to exact tokens, at a cost that follows what is new in a conversation.

Nouns, beside those of `prompt`: an *item* is one raw message of a request. A *boundary* is a place in a conversation
whose blocks are known. A *cut token* is an added token before which text may be cut without changing any id. A *tail*
is the text that new items add. A *stand-in* is a short conversation that is rendered in place of a long one. A
*skeleton* is the rendered text of messages of one form, with holes for what they say. A request passes through
`bodies.request.parse`, which reads it, and `encoder.PromptEncoder`, which recognises and encodes it.
`worker_ids.WorkerIdsEncoder` takes ids from a worker; `text.TextEncoder` is the fall-back without exact tokens.
"""
