"""What passed, as a file for the laboratory: times, lengths and keyed hashes, and no word of a prompt.

Nouns: a *line* is one answered request; a *conversation* is a run of prompts of which each begins with the one before
it, found by its blocks alone; a *file* begins with a head, and can be read without any other file. What must not be
broken: neither text nor token ids can be had back from a file, and a request never waits for the disk.
"""
