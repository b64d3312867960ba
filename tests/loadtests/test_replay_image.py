"""Replaying the image's recipe: what is read of it, and where files go. The steps themselves need root and a system."""

from pathlib import Path

import pytest

from loadtests.replay_image import Stage, copy, inside, instructions, step


def test_instructions_are_joined_and_comments_left_out() -> None:
    text = "# no\nFROM a AS b\nRUN one \\\n    # inside\n    && two\n\nuser 1:1\n"
    assert list(instructions(text)) == [("FROM", "a AS b"), ("RUN", "one && two"), ("USER", "1:1")]


def test_paths_are_those_of_the_stage() -> None:
    stage = Stage(Path("/out"), workdir="/src")
    assert inside(stage, "docker/") == Path("/out/src/docker")
    assert inside(stage, "./") == Path("/out/src")
    assert inside(stage, "/opt/x") == Path("/out/opt/x")


def test_files_of_another_stage_are_copied(tmp_path: Path) -> None:
    (tmp_path / "one/opt/app/bin").mkdir(parents=True)
    (tmp_path / "one/opt/app/bin/python").symlink_to("/usr/bin/python3")
    stages = {"one": Stage(tmp_path / "one"), "two": Stage(tmp_path / "two")}
    copy(stages["two"], ["--from=one", "/opt/app", "/opt/app"], stages)
    assert (tmp_path / "two/opt/app/bin/python").readlink() == Path("/usr/bin/python3")


def test_the_context_is_copied_without_what_is_ignored(tmp_path: Path) -> None:
    copy(Stage(tmp_path, workdir="/src"), ["pyproject.toml", "README.md", "./"], {})
    copy(Stage(tmp_path, workdir="/src"), ["policies", "policies"], {})
    assert (tmp_path / "src/pyproject.toml").is_file()
    assert (tmp_path / "src/policies/api.py").is_file()
    assert not list(tmp_path.rglob("__pycache__"))
    with pytest.raises(ValueError, match="left out"):
        copy(Stage(tmp_path), ["CHANGELOG.md", "./"], {})


def test_settings_of_the_image_are_kept(tmp_path: Path) -> None:
    stage = Stage(tmp_path, {"PATH": "/bin"})
    for word, rest in (("ENV", "PATH=/opt/bin:$PATH A=b"), ("USER", "7:7"), ("WORKDIR", "/src"), ("CMD", '["serve"]')):
        step(word, rest, stage, {})
    assert stage.environ == {"PATH": "/opt/bin:/bin", "A": "b"}
    assert (stage.user, stage.workdir, stage.says) == ("7:7", "/src", {"CMD": '["serve"]'})
    assert (tmp_path / "src").is_dir()


def test_an_unknown_instruction_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="ONBUILD"):
        step("ONBUILD", "RUN x", Stage(tmp_path), {})
