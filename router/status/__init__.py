"""What this router does, as a person looks at it: `GET /admin/status`, and the page over it.

Nouns: the *status* is one JSON object, bounded in size and without a word of a prompt; a *notice* is something that is
amiss, with what to do; a *decision seen* is one decision with every candidate's price, kept while somebody watches.
Reading takes from others what they hold, and changes nothing.
"""
