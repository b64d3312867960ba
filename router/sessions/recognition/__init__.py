"""Whose turn a prompt is: by its chain of blocks, and by what its client calls its session."""
