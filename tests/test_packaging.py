"""What is released: the metadata, and with `make package-check` the built files themselves."""

import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

import session_cleanup

ROOT = Path(__file__).parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CORE = {"cronsim", "django", "psycopg[binary]", "python-dateutil"}

# A project with nothing but the app: its imports must be served by the core dependencies.
BARE_PROJECT = """
import django
from django.conf import settings
from django.core.management import call_command

settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}},
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "session_cleanup"],
    SESSION_CLEANUP_PRESETS=["presentations", "collaborative", "after_hours"],
    USE_TZ=True,
)
django.setup()
call_command("migrate", verbosity=0)
call_command("check")
call_command("cleanup_sessions")
import session_cleanup
print(session_cleanup.__version__, session_cleanup.__file__)
"""


def run(*command, cwd=ROOT):
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_core_dependencies_are_few():
    project = PYPROJECT["project"]

    assert {requirement.partition(">=")[0] for requirement in project["dependencies"]} == CORE
    extras = {
        "celery",
        "progress",
        "example",
        "bench",
        "test",
        "libraries",
        "dev",
        "undo-keys",
        "report",
        "zstd",
    }
    assert set(project["optional-dependencies"]) == extras


def test_every_path_of_the_sdist_exists():
    for name in PYPROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]["only-include"]:
        assert (ROOT / name).exists(), name


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--outdir", str(folder), ".")
    return folder


@pytest.fixture(scope="module")
def sources():
    """The files of this checkout, less what git ignores."""
    names = run("git", "ls-files", "--cached", "--others", "--exclude-standard").splitlines()
    return {name for name in names if (ROOT / name).is_file()}


@pytest.mark.packaging
def test_the_sdist_holds_the_named_sources_and_nothing_else(built, sources):
    included = PYPROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]["only-include"]
    expected = {name for name in sources if name.split("/")[0] in included}

    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}

    assert names == expected | {".gitignore", "PKG-INFO"}


@pytest.mark.packaging
def test_the_wheel_holds_the_package_and_nothing_else(built, sources):
    expected = {name for name in sources if name.startswith("session_cleanup/")}

    with zipfile.ZipFile(next(built.glob("*.whl"))) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}

    assert names == expected


@pytest.mark.packaging
def test_an_index_would_show_the_readme(built):
    run(sys.executable, "-m", "twine", "check", "--strict", *map(str, built.iterdir()))


@pytest.mark.packaging
def test_the_wheel_works_with_its_core_dependencies_alone(built, tmp_path):
    venv.create(tmp_path / "venv", with_pip=True)
    python = str(tmp_path / "venv" / "bin" / "python")
    run(python, "-m", "pip", "install", "--quiet", str(next(built.glob("*.whl"))))

    printed = run(python, "-W", "error", "-c", BARE_PROJECT, cwd=tmp_path)

    version, location = printed.splitlines()[-1].split()
    assert version == session_cleanup.__version__
    assert Path(location).is_relative_to(tmp_path)
