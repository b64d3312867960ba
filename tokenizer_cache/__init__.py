"""From raw request bytes to exact tokens, at a cost that follows what is new in a conversation.

Nouns, beside those of `api`: an *item* is one raw message of a request. A *boundary* is a place in a conversation whose
blocks are known; a *cut token* is an added token before which text may be cut without changing any id; a *tail* is what
new items add to the text; a *stand-in* is a short conversation that is rendered in place of a long one.
Way of a request: `request.parse` reads it, `encoder.PromptEncoder` recognises and encodes it, `text.TextEncoder` is the
fall-back without exact tokens.
"""
