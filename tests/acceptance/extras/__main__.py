"""Installs the wheel with one extra after another, each in a new environment, and runs the programs that use it.

    python -m acceptance.extras ../dist/hmac_guard-0.2.0-py3-none-any.whl [extras ...]

Each environment holds the wheel, the extra and what they need, and nothing else. A second one has the oldest releases
that the wheel allows. Exits with 1 if a program fails.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
import venv
import zipfile
from email import message_from_bytes
from pathlib import Path

HERE = Path(__file__).parent

#: The programs of each environment, by its extras in the syntax of pip ("" for none). An extra that needs another one
#: is listed with it.
ENVIRONMENTS = {
    "": ("use_none",),
    "cache": ("use_cache",),
    "cli": ("use_cli",),
    "cli,sql": ("use_cli_sql",),
    "console": ("use_cli", "use_console"),
    "crypto,sql": ("use_crypto_sql",),
    "demo": ("use_cli", "use_demo"),
    "opentelemetry": ("use_opentelemetry",),
    "prometheus": ("use_prometheus",),
    "redis": ("use_cache", "use_redis"),
    "sql": ("use_sql",),
}

#: The environment variables that are passed on. None of them adds packages from other environments.
KEPT = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def oldest(wheel: Path) -> str:
    """Return the oldest release of each package that the wheel needs, as constraints of pip."""
    with zipfile.ZipFile(wheel) as files:
        metadata = next(name for name in files.namelist() if name.endswith(".dist-info/METADATA"))
        needed = message_from_bytes(files.read(metadata)).get_all("Requires-Dist", [])
    found = [re.match(r"([\w.-]+)>=([\w.]+)", each) for each in needed]
    return "".join(f"{each[1]}=={each[2]}\n" for each in found if each)


def try_environment(wheel: Path, extras: str, constraints: str) -> bool:
    """Return whether all programs of one environment succeeded."""
    title = (extras or "no extra") + (", oldest releases" if constraints else "")
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="hmac_guard-extras-") as folder:
        venv.create(folder, with_pip=True, symlinks=True)
        python = str(Path(folder, "bin", "python"))
        limits = Path(folder, "constraints.txt")
        limits.write_text(constraints)
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", f"--constraint={limits}"]
        subprocess.run([*install, f"{wheel}[{extras}]" if extras else str(wheel)], env=KEPT, check=True)
        # Run in the folder of the tests, so that the installed wheel is imported and not the source folder.
        done = [
            subprocess.run(
                [python, "-s", "-m", f"acceptance.extras.{program}"], env=KEPT, cwd=HERE.parents[1], check=False
            )
            for program in ENVIRONMENTS[extras]
        ]
    works = all(each.returncode == 0 for each in done)
    print(f"{title}: {'works' if works else 'FAILS'} ({time.monotonic() - began:.0f} s)", flush=True)
    return works


def main() -> int:
    wheel, *chosen = sys.argv[1:]
    tried = [extras for extras in ENVIRONMENTS if not chosen or extras in chosen]
    if chosen and len(tried) < len(set(chosen)):
        print(f"give some of {', '.join(filter(None, ENVIRONMENTS))}", file=sys.stderr)
        return 1
    path = Path(wheel).resolve()
    worked = [try_environment(path, extras, limits) for limits in ("", oldest(path)) for extras in tried]
    return 0 if all(worked) else 1


if __name__ == "__main__":
    sys.exit(main())
