"""Chat templates, rendered as the engines render them, and of a known conversation only the tail."""
