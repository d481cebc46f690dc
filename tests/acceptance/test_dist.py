"""What is published: the wheel and the sdist hold these files and no others."""

import re
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("hatchling", reason="not run: hatchling is not installed")
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parents[2]
PROJECT = (ROOT / "pyproject.toml").read_text()
VERSION = re.findall(r'^version = "(.+)"$', PROJECT, re.MULTILINE)[0]
NAME = f"hmac_guard-{VERSION}"
#: The kinds of files in the package.
SUFFIXES = {"", ".css", ".html", ".j2", ".js", ".json", ".py", ".svg", ".typed"}


def files(folder: str) -> Iterator[str]:
    """The files of a folder, without what Python writes there."""
    for path in (ROOT / folder).rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path.relative_to(ROOT).as_posix()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    [built] = WheelBuilder(str(ROOT)).build(directory=str(tmp_path_factory.mktemp("dist")), versions=["standard"])
    return Path(built)


def test_the_wheel_holds_the_package_the_examples_and_the_licence(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as opened:
        held = set(opened.namelist())

    assert wheel.name == f"{NAME}-py3-none-any.whl"
    info = f"{NAME}.dist-info"
    about = {f"{info}/{name}" for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE")}
    examples = {f"hmac_guard/cli/{name}" for name in files("examples")}
    assert held == {*files("hmac_guard"), *examples, *about}
    assert "hmac_guard/py.typed" in held
    assert {Path(name).suffix for name in held - about} <= SUFFIXES


def test_the_wheel_says_what_it_brings(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as opened:
        entry_points = opened.read(f"{NAME}.dist-info/entry_points.txt").decode()
        metadata = opened.read(f"{NAME}.dist-info/METADATA").decode()

    assert "[console_scripts]\nhmac-guard = hmac_guard.cli:main\n" in entry_points
    assert "[pytest11]\nhmac_guard = hmac_guard.pytest_plugin\n" in entry_points
    required = [line for line in metadata.splitlines() if line.startswith("Requires-Dist:") and "extra ==" not in line]
    assert required == ["Requires-Dist: asgiref>=3.8", "Requires-Dist: werkzeug>=3.0.6"]


def test_the_readme_of_the_package_has_absolute_links(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as opened:
        metadata = opened.read(f"{NAME}.dist-info/METADATA").decode()
    [address] = re.findall(r'^Homepage = "(.+)"$', PROJECT, re.MULTILINE)
    readme = metadata.partition("\n\n")[2]
    links = re.findall(r"(!?)\[[^\]]*\]\(([^)]+)\)", (ROOT / "README.md").read_text())

    assert "Description-Content-Type: text/markdown" in metadata
    assert {image for image, _ in links} == {"", "!"}
    for image, target in links:
        assert f"]({address}/{'raw' if image else 'blob'}/HEAD/{target})" in readme
        assert f"]({target})" not in readme


def test_the_sdist_holds_what_builds_and_tests_the_package(tmp_path: Path) -> None:
    [built] = SdistBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with tarfile.open(built) as opened:
        held = {member.name.removeprefix(f"{NAME}/") for member in opened.getmembers() if member.isfile()}

    top = {name for name in held if "/" not in name}
    assert top == {
        *("CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "Makefile", "PKG-INFO", "README.md", "SECURITY.md"),
        *(".gitignore", "hatch_build.py", "pyproject.toml"),
    }
    folders = {name.split("/")[0] for name in held - top}
    assert folders == {"docs", "examples", "hmac_guard", "tests"}
    assert set(files("hmac_guard")) <= held
    assert not [name for name in held if re.search(r"\.(db|pyc|whl|env|pem|key)$", name)]


def test_the_sbom_is_of_all_extras() -> None:
    [section] = re.findall(r"^\[project\.optional-dependencies\]\n(.*?)\n\n", PROJECT, re.MULTILINE | re.DOTALL)
    extras = ",".join(re.findall(r"^([\w-]+) = \[", section, re.MULTILINE))

    assert f"'.[{extras}]'" in (ROOT / "Makefile").read_text()


def test_the_changelog_has_the_version() -> None:
    """`make dist` is for a version that the changelog describes."""
    headings = re.findall(r"^## \[(.+?)\](?: - (\d{4}-\d\d-\d\d))?$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)

    released = [(version, day) for version, day in headings if version != "Unreleased"]
    assert released[0][0] == VERSION
    assert released[0][1]
