import os
import shutil
import stat
from pathlib import Path
from subprocess import run

import pytest

BIN = Path(__file__).parents[2] / "bin"
# Makes an environment whose Python only tells how it was called.
UV = """#!/bin/sh
[ "$1" = --version ] && exit 0
echo "$@" >>"{calls}"
[ -e "{broken}" ] && { echo "no route to the index"; exit 2; }
mkdir -p "$UV_PROJECT_ENVIRONMENT/bin"
cp "{python}" "$UV_PROJECT_ENVIRONMENT/bin/python"
"""
PYTHON = """#!/bin/sh
[ "$1" = -c ] && exit 0
echo "in $PWD: $*"
"""
NEEDED = ("sh", "cat", "cksum", "dirname", "readlink", "mkdir", "cp")


def script(path, text):
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def project(tmp_path):
    """A project below a path with blanks, that has our scripts and nothing else of us."""
    root = tmp_path / "my own project"
    shutil.copytree(BIN, root / "bin")
    (root / "uv.lock").write_text("lock 1")
    (root / "pyproject.toml").write_text("project 1")
    return root


@pytest.fixture
def path(tmp_path):
    """A PATH with a shell, a uv of ours and no Python."""
    directory = tmp_path / "path"
    directory.mkdir()
    for name in NEEDED:
        (directory / name).symlink_to(shutil.which(name))
    script(tmp_path / "python", PYTHON)
    places = {"calls": "calls", "broken": "broken", "python": "python"}
    text = UV
    for key, name in places.items():
        text = text.replace(f"{{{key}}}", str(tmp_path / name))
    script(directory / "uv", text)
    return directory


@pytest.fixture
def tocsin(project, path, tmp_path):
    def tocsin(*arguments, program=project / "bin" / "tocsin"):
        return run(
            [program, *arguments],
            cwd=tmp_path,
            env={"PATH": str(path)},
            capture_output=True,
            text=True,
            check=False,
        )

    return tocsin


def calls(tmp_path):
    return (tmp_path / "calls").read_text().splitlines() if (tmp_path / "calls").exists() else []


def test_arguments_and_directory_reach_the_command_line(tocsin, tmp_path):
    done = tocsin("send", "to me")
    assert done.stdout == f"in {tmp_path}: -P -m app.cli send to me\n"


def test_the_environment_is_made_once(tocsin, tmp_path):
    assert "making the Python environment" in tocsin().stderr
    assert tocsin().stderr == ""
    assert len(calls(tmp_path)) == 1


def test_it_holds_what_is_locked_and_nothing_for_developers(tocsin, tmp_path, project):
    tocsin()
    (call,) = calls(tmp_path)
    assert call.startswith("sync ")
    assert {"--frozen", "--no-dev"} <= set(call.split())
    assert call.partition("--project ")[2].startswith(str(project))


def test_what_developers_added_to_it_is_left_there(tocsin, tmp_path):
    tocsin()
    assert "--inexact" in calls(tmp_path)[0].split()


@pytest.mark.parametrize("name", ["uv.lock", "pyproject.toml"])
def test_it_is_made_again_when_what_it_was_made_from_changes(tocsin, tmp_path, project, name):
    tocsin()
    (project / name).write_text("version 2")
    tocsin()
    assert len(calls(tmp_path)) == 2


def test_it_is_made_again_when_the_project_was_moved(tocsin, tmp_path, project):
    tocsin()
    moved = project.rename(tmp_path / "moved")
    tocsin(program=moved / "bin" / "tocsin")
    assert len(calls(tmp_path)) == 2


def test_it_can_be_called_through_a_link(tocsin, tmp_path, project):
    link = tmp_path / "link"
    link.symlink_to(project / "bin" / "tocsin")
    assert "app.cli --help" in tocsin("--help", program=link).stdout


def test_a_failure_is_told_and_tried_again_the_next_time(tocsin, tmp_path):
    (tmp_path / "broken").touch()
    script(tmp_path / "path" / "python3", PYTHON)
    done = tocsin()
    assert done.returncode == 1
    assert done.stdout == ""
    assert "no route to the index" in done.stderr
    (tmp_path / "broken").unlink()
    assert tocsin().returncode == 0


@pytest.mark.parametrize("with_uv", [True, False])
def test_a_machine_without_python_is_told_how_to_get_one(tocsin, tmp_path, path, with_uv):
    (tmp_path / "broken").touch()
    if not with_uv:
        (path / "uv").unlink()
    done = tocsin()
    assert done.returncode == 1
    assert "Python 3.11 or newer is needed" in done.stderr
    assert "apt-get install python3" in done.stderr


def test_a_python_that_is_too_old_is_none(tocsin, path):
    (path / "uv").unlink()
    script(path / "python3", "#!/bin/sh\nexit 1\n")
    assert "Python 3.11 or newer is needed" in tocsin().stderr


def test_a_python_without_venv_is_told_what_to_install(tocsin, path):
    (path / "uv").unlink()
    script(path / "python3", '#!/bin/sh\n[ "$1" = -c ]\n')
    assert "apt-get install python3-venv" in tocsin().stderr


@pytest.mark.parametrize("name", ["bin/tocsin", "bin/test", ".ci/run"])
def test_scripts_can_be_run(name):
    assert os.access(BIN.parent / name, os.X_OK)


@pytest.mark.parametrize("name", ["bin/tocsin", "bin/test", "bin/environment", ".ci/run"])
def test_scripts_are_plain_shell(name):
    assert run([shutil.which("dash") or "sh", "-n", BIN.parent / name], check=False).returncode == 0
