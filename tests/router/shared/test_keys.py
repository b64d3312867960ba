"""Every key of a deployment is on the page, on one shard of a cluster, and nobody else's."""

import inspect
import re

from router.shared import keys
from router.shared.keys import LAYOUT, Keys

OURS, OTHERS = Keys("one"), Keys("two")


def made(of: Keys) -> dict[str, str]:
    """Every key, by the attribute that makes it."""
    found = {}
    for name, member in inspect.getmembers(Keys):
        if isinstance(member, property):
            found[name] = getattr(of, name)
        elif inspect.isfunction(member) and not name.startswith("_"):
            found[name] = getattr(of, name)("x")
    return found


def test_each_begins_with_the_prefix_as_a_hash_tag_and_the_layout() -> None:
    assert all(key.startswith(f"{{one}}:{LAYOUT}:") for key in made(OURS).values())
    assert not set(made(OURS).values()) & set(made(OTHERS).values())


def test_no_two_are_equal() -> None:
    assert len(set(made(OURS).values())) == len(made(OURS))


def test_each_stands_on_the_page() -> None:
    rows = re.findall(r"^\| `\{prefix\}:2:(\w+)", str(keys.__doc__), re.MULTILINE)
    kinds = {key.removeprefix(OURS.tag).split(":")[0] for key in made(OURS).values()} - {""}
    assert kinds <= set(rows)


def test_a_router_s_keys_begin_as_those_that_are_looked_for() -> None:
    assert OURS.load("r") == OURS.loads + "r"
    assert OURS.use("r") == OURS.uses + "r"
