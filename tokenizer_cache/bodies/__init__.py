"""Request bodies from clients: read once, of a known conversation only the new part, and every byte kept."""
