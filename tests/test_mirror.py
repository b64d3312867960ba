"""The test of a module is found from the module's path: `router/relay/retry.py` has `tests/router/relay/test_retry.py`.

A module without a file of its own stands below, beside the file that tests it, with the reason. Nothing else may.
"""

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
PRODUCT: Final = ("router", "tokenizer_cache", "policies")
ENTRY: Final = frozenset({"__init__.py", "__main__.py"})
ELSEWHERE: Final = {
    # Wiring: it has no rule of its own, and every test of a whole router runs through it.
    "router/build/test_app.py": "router/build: child gauges make_dial make_fleet make_members make_prompts run",
    "router/kv_events/test_follower.py": "router/build: make_events",
    "router/shadow/test_shadows.py": "router/build: make_shadows",
    "router/http/test_gateway.py": "router/build: make_gateway | router/http: control",
    "router/observe/test_tracing.py": "router/build: make_tracing",
    "router/status/test_status.py": "router/http: status_route",
    # Values and contracts: what reads them decides.
    "router/build/test_make_discovery.py": "router/members: source",
    "router/prefix/test_contract.py": "router/prefix: index",
    "router/routing/test_recognition.py": "router/routing: asked",
    "router/settings/test_fields.py": "router/build: tuning | router/settings: routing serving",
    "tokenizer_cache/test_encoder.py": "tokenizer_cache: prompt",
    # What clients, workers and Redis meet: tested over real sockets.
    "router/http/test_faults.py": "router/http: loop prompt_route",
    "router/http/test_defaults.py": "router/relay: worker_client",
    "router/prefix/test_shared.py": "router/prefix: writer",
    "router/wire/test_rights.py": "router/http: load_route",
}


def listed() -> list[str]:
    """The paths of the modules above."""
    rooms = [room.split(": ") for rooms in ELSEWHERE.values() for room in rooms.split(" | ")]
    return [f"{folder}/{name}.py" for folder, names in rooms for name in names.split()]


def modules() -> list[Path]:
    paths = [path for package in PRODUCT for path in sorted((ROOT / package).rglob("*.py"))]
    return [path.relative_to(ROOT) for path in paths if path.name not in ENTRY]


def own_test(module: Path) -> Path:
    return ROOT / "tests" / module.parent / f"test_{module.name}"


def test_a_module_has_its_test_where_it_is_looked_for() -> None:
    elsewhere = set(listed())
    assert len(modules()) > 200
    missing = [own_test(module) for module in modules() if str(module) not in elsewhere]
    assert [str(path.relative_to(ROOT)) for path in missing if not path.exists()] == [], "write these"


def test_the_list_names_what_there_is_and_no_more() -> None:
    known = listed()
    assert len(set(known)) == len(known)
    assert [name for name in known if not (ROOT / name).exists() or own_test(Path(name)).exists()] == []
    assert [name for name in ELSEWHERE if not (ROOT / "tests" / name).exists()] == []
