"""The package as an installed one: with the entry point of `pyproject.toml`, by which pytest finds the plugin."""

import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import hmac_guard

ROOT = Path(__file__).parent.parent


def install(folder: Path) -> Path:
    """Make a folder that counts as installed where it is in `PYTHONPATH`."""
    [entry_point] = re.findall(
        r"^\[project.entry-points.pytest11\]\n(.+)\n", (ROOT / "pyproject.toml").read_text(), re.MULTILINE
    )
    about = folder / "hmac_guard-0.0.dist-info"
    about.mkdir(parents=True)
    (folder / "hmac_guard").symlink_to(Path(hmac_guard.__file__).parent)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: hmac-guard\nVersion: 0\n")
    name, module = entry_point.replace('"', "").split(" = ")
    (about / "entry_points.txt").write_text(f"[pytest11]\n{name} = {module}\n")
    return folder


def environ_of_a_shell(folder: Path) -> dict[str, str]:
    """The environment of a shell that finds the package, and its command."""
    commands = folder / "commands"
    commands.mkdir()
    (commands / "hmac-guard").write_text(f"#!{sys.executable}\nfrom hmac_guard.cli import main\n\nmain()\n")
    (commands / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    for command in commands.iterdir():
        command.chmod(0o755)
    path = os.pathsep.join([str(commands), sysconfig.get_path("scripts"), os.environ["PATH"]])
    return {**os.environ, "PATH": path, "PYTHONPATH": str(install(folder / "installed")), "PYTHONUNBUFFERED": "1"}


def run_pytest(folder: Path, installed: Path, *options: str) -> str:
    """Return what pytest prints for the tests of a user. Every warning is an error."""
    environ = {**os.environ, "PYTHONPATH": str(installed)}
    without = ["-p", "no:cacheprovider", "-p", "no:faker"]
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", *without, *options]
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr
