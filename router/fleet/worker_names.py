"""What workers and their incarnations are called: the same on every router, and nothing of the address in it."""

import hashlib


def worker_id(url: str, rank: int = 0) -> str:
    """A short opaque id: equal for equal URLs on every router, and tells a client nothing of the address. The first
    rank has its server's."""
    place = f"{url}#{rank}" if rank else url  # no worker's URL has a fragment
    return "w-" + hashlib.blake2b(place.encode(), digest_size=5).hexdigest()


def holder_name(worker_id: str, generation: str) -> str:
    """One incarnation's name in the prefix index, equal on every router. Without a generation it outlives a restart."""
    mark = hashlib.blake2b(generation.encode(), digest_size=4).hexdigest()
    return f"{worker_id}.{mark}" if generation else worker_id
