"""The page's files: whole, from here alone, and under a policy that allows nothing else."""

import re

from router.status.site import FIRST, HEADERS, page_files


def test_the_page_names_only_files_that_are_sent_from_here() -> None:
    files = page_files()
    page = files[FIRST].body.decode()
    named = re.findall(r"(?:src|href)=\"([^\"]+)\"", page)
    assert [name for name in named if not name.startswith("#")]
    for name in named:
        assert name.startswith("#") or name.removeprefix("/admin/ui/") in files, name


def test_nothing_is_written_into_the_page_that_its_policy_forbids() -> None:
    files = page_files()
    text = "".join(file.body.decode() for file in files.values())
    assert not re.findall(r"https?://(?!www\.w3\.org/2000/svg|/)", text.replace(r"^http:\/\/", ""))
    assert " style=" not in files[FIRST].body.decode()
    for unsafe in (
        "innerHTML",
        "insertAdjacentHTML",
        "outerHTML",
        "document.write",
        "eval(",
        "localStorage",
        "onclick=",
    ):
        assert unsafe not in text
    assert "unsafe" not in HEADERS["content-security-policy"]
    assert HEADERS["content-security-policy"].startswith("default-src 'none'")


def test_every_element_that_the_script_looks_for_is_there() -> None:
    files = page_files()
    wanted = set(re.findall(r"\$\(\"([\w-]+)\"\)", files["page.js"].body.decode()))
    assert wanted <= set(re.findall(r"id=\"([\w-]+)\"", files[FIRST].body.decode()))
    assert len(wanted) > 10
