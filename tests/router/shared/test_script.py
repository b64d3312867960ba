"""Commands and scripts as words. That a server takes them: `test_link`."""

import hashlib

from router.shared.script import Script, command, read_script


def test_a_script_is_called_by_its_hash_and_sent_in_full_when_that_is_unknown() -> None:
    script = Script("name", "return 1")
    digest = hashlib.sha1(b"return 1").hexdigest()
    called = script("key", 1, b"two")
    assert called.words == ("EVALSHA", digest, 1, "key", 1, b"two")
    assert called.in_full().words == ("EVAL", "return 1", 1, "key", 1, b"two")


def test_a_command_has_no_script() -> None:
    assert command("GET", "a") == (("GET", "a"), "")


def test_a_file_stands_behind_those_that_it_shares() -> None:
    match = read_script("router.prefix", "lua/match", "lua/segments")
    segments = read_script("router.prefix", "lua/segments").text
    assert match.text == segments + "\n" + read_script("router.prefix", "lua/match").text
    assert repr(match) == "Script('lua/match')"
