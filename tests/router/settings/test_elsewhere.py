"""Flags and policies of other routers are named in the error."""

import re

import pytest

import policies
from router.cli import main
from router.settings.elsewhere import FLAGS, POLICIES, flag_hint, policy_hint
from router.settings.fields import declared
from router.settings.gone import GONE
from router.settings.sources import names


def test_every_hint_names_flags_that_exist() -> None:
    flags = {setting.flag for setting in declared()}
    for hint in FLAGS.values():
        for flag in re.findall(r"--[a-z-]+", hint):
            assert flag in flags, hint


def test_no_hint_is_about_a_setting_of_ours() -> None:
    assert not set(FLAGS) & (set(names()) | set(GONE))


def test_every_policy_named_is_one() -> None:
    assert set(POLICIES.values()) <= set(policies.POLICIES)
    assert not set(POLICIES) & set(policies.POLICIES)
    assert policy_hint("cache_aware") == "; the nearest to cache_aware is expected_ttft"
    assert policy_hint("no such") == policy_hint(3) == ""
    assert flag_hint("--no-such") == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["--worker-urls", "http://a:1", "http://b:1"],
            "--worker-urls: is no setting; here it is --worker URL",
        ),
        (["--cache-threshold=0.5"], "--cache-threshold: is no setting; there is nothing to set here"),
        (["--policy", "cache_aware", "--worker", "http://a:1"], "the nearest to cache_aware is expected_ttft"),
    ],
)
def test_the_command_says_so_in_one_line(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", *arguments], {}) == 2
    complaint = capsys.readouterr().err
    assert said in complaint
    assert complaint.count("\n") == 1


def test_so_does_a_variable(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve"], {"WARMROUTE_WORKER_URLS": "http://a:1"}) == 2
    assert "here it is --worker URL" in capsys.readouterr().err
