"""Runs the tests on each supported CPython, against the built wheel.

    python -m acceptance.pythons ../dist/hmac_guard-0.2.0-py3-none-any.whl [arguments of pytest ...]

Each Python gets a new environment with the wheel and the test dependencies. A Python that this machine does not have is
a line "not run". Exits with 1 if a test fails, or if no Python was found.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TESTS = Path(__file__).parents[2]
VERSIONS = ("3.10", "3.11", "3.12", "3.13")

#: What the environments inherit: nothing that could lead to packages outside of them.
_KEPT = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def interpreter(version: str) -> str | None:
    """The command of this CPython, on the path or among those of pyenv, or None."""
    test = (
        f"import sys; sys.exit(sys.implementation.name != 'cpython' or '%d.%d' % sys.version_info[:2] != {version!r})"
    )
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    commands = [shutil.which(f"python{version}"), *map(str, sorted(pyenv.glob(f"{version}.*/bin/python")))]
    for command in filter(None, commands):
        # pyenv puts a command for each version on the path, which fails where the version is not chosen.
        if subprocess.run([command, "-c", test], env=_KEPT, check=False, capture_output=True).returncode == 0:
            return command
    return None


def passes(command: str, wheel: Path, arguments: list[str]) -> bool:
    """Whether the tests pass on this Python."""
    with tempfile.TemporaryDirectory(prefix="hmac_guard-pythons-") as folder:
        subprocess.run([command, "-m", "venv", folder], env=_KEPT, check=True)
        commands = Path(folder, "bin")
        install = [str(commands / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, "--upgrade", "pip>=25.1"], env=_KEPT, check=True)
        project = TESTS.parent
        subprocess.run([*install, "--group", "test", f"{wheel}[cli]"], env=_KEPT, cwd=project, check=True)
        pytest = [str(commands / "pytest"), "--numprocesses=auto", "--maxprocesses=4", "--dist=worksteal", "-q"]
        return subprocess.run([*pytest, *arguments], env=_KEPT, cwd=project, check=False).returncode == 0


def main() -> int:
    wheel, *arguments = sys.argv[1:]
    lines = []
    for version in VERSIONS:
        command = interpreter(version)
        began = time.monotonic()
        if command is None:
            result = "not run: this machine does not have it"
        else:
            result = "passed" if passes(command, Path(wheel).resolve(), arguments) else "FAILED"
        lines.append(f"Python {version}: {result} ({time.monotonic() - began:.0f} s)")
        print(lines[-1], flush=True)
    print("\n".join(lines))
    return int(any("FAILED" in line for line in lines) or all("not run" in line for line in lines))


if __name__ == "__main__":
    sys.exit(main())
