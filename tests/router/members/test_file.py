"""A real file, replaced while it is watched."""

import json
import os
from pathlib import Path

import pytest

from router.fleet.labels import Labels
from router.members.file import FileSource, read_page
from tests.router.members.findings import listening

A, B = "http://10.0.0.1:8000", "http://10.0.0.2:8000"


def write(path: Path, text: str) -> None:
    """As an operator should: whole, by renaming."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


def page(*urls: object) -> str:
    return json.dumps({"workers": urls})


async def test_a_file_is_followed_and_a_broken_one_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "workers.json"
    with listening(FileSource(str(path), 0.01)) as heard:
        await heard.until(lambda: bool(heard.failures))
        write(path, page(A))
        await heard.until(lambda: bool(heard.sets))
        for broken in ("", "{", page("http://u:p@h"), page(A, 3), '{"workers": [], "more": 1}', "[]", "\0"):
            before, told = len(heard.failures), len(heard.sets)
            write(path, broken)
            await heard.until(lambda before=before: len(heard.failures) > before + 1)  # type: ignore[misc]
            assert len(heard.sets) == told
        write(path, page(A, B))
        await heard.until(lambda: len(heard.sets) == 2)
        path.unlink()
        await heard.until(lambda: heard.failures[-1].startswith("cannot be read"))
        write(path, page(B))
        await heard.until(lambda: len(heard.sets) == 3)
    assert [set(one) for one in heard.sets] == [{A}, {A, B}, {B}]


async def test_a_mounted_configmap_is_followed_through_its_links(tmp_path: Path) -> None:
    for number, urls in enumerate(((A,), (A, B))):
        folder = tmp_path / f"..{number}"
        folder.mkdir()
        (folder / "workers.json").write_text(page(*urls))
    (tmp_path / "..data").symlink_to("..0")
    path = tmp_path / "workers.json"
    path.symlink_to("..data/workers.json")
    with listening(FileSource(str(path), 0.01)) as heard:
        await heard.until(lambda: len(heard.sets) == 1)
        (tmp_path / "..new").symlink_to("..1")
        os.rename(tmp_path / "..new", tmp_path / "..data")  # noqa: PTH104 - what the kubelet does
        await heard.until(lambda: len(heard.sets) == 2)
    assert [set(one) for one in heard.sets] == [{A}, {A, B}]


def test_json_and_toml_say_the_same() -> None:
    toml = f"""
        [[workers]]
        url = "{A}"
        models = ["m"]
        role = "chat"
        [[workers]]
        url = "{B}"
        drain = true
    """
    as_json = page({"url": A, "models": ["m"], "role": "chat"}, {"url": B, "drain": True})
    one, two = read_page(toml.encode(), True)
    assert read_page(as_json.encode(), False) == [one, two]
    assert (one.labels, one.draining) == (Labels(frozenset({"m"}), "chat"), False)
    assert (two.url, two.draining) == (B, True)
    assert [spec.url for spec in read_page(f'workers = ["{A}"]'.encode(), True)] == [A]


@pytest.mark.parametrize(
    ("text", "toml", "complaint"),
    [
        ("{", False, "is not JSON"),
        ("a = ", True, "is not TOML"),
        ("\ud800", True, "is not TOML"),
        (page({"url": A, "modles": []}), False, "modles"),
        (page({"models": []}), False, "url"),
        (page(A, "http://127.1:8000"), False, r"workers\[1\]"),
        ("worker = []", True, "`worker`"),
        ("[" * 5000, False, "is not JSON|does not hold"),
    ],
)
def test_a_wrong_file_is_refused_with_what_is_wrong(text: str, toml: bool, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        read_page(text.encode("utf-8", "surrogatepass"), toml)


def test_a_file_without_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "workers.json"
    path.write_bytes(b" " * (5 << 20))
    with pytest.raises(ValueError, match="larger"):
        FileSource(str(path), 1.0)._read()
