"""Alert rules name what exists, lead to a runbook, and fire in one case and not in another."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docker.promql import unknown

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docker/prometheus"
RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"] for rule in group["rules"]
]
CASES: list[dict[str, Any]] = yaml.safe_load((FOLDER / "alerts.test.yaml").read_text())["tests"]
every_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])


def anchors(path: Path) -> set[str]:
    """Of a page's headlines, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-") for title in titles}


@every_rule
def test_rules_parse_and_name_what_the_router_exports(rule: dict[str, Any]) -> None:
    assert unknown(rule["expr"]) == []


@every_rule
def test_rules_lead_to_their_runbook(rule: dict[str, Any]) -> None:
    page, _, anchor = rule["annotations"]["runbook"].partition("#")
    assert anchor in anchors(ROOT / page)
    assert rule["alert"] in (ROOT / page).read_text()
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}


@every_rule
def test_rules_have_a_case_that_fires_and_one_that_does_not(rule: dict[str, Any]) -> None:
    fired = [
        bool(test["exp_alerts"])
        for case in CASES
        for test in case["alert_rule_test"]
        if test["alertname"] == rule["alert"]
    ]
    assert set(fired) == {True, False}


def test_names_are_unique() -> None:
    names = [rule["alert"] for rule in RULES]
    assert len(names) == len(set(names))


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool (Debian: prometheus)")
@pytest.mark.parametrize("command", ["check rules alerts.yaml", "test rules alerts.test.yaml"])
def test_promtool_agrees(command: str) -> None:
    done = subprocess.run(
        ["promtool", *command.split()], cwd=FOLDER, capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
