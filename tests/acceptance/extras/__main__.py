"""Installs the wheel with one extra after another, each in a new environment, and runs the programs that use it.

    python -m acceptance.extras ../dist/hmac_guard-0.2.0-py3-none-any.whl [extras ...]

Each environment holds the wheel, the extra and what they need, and nothing else. Exits with 1 if a program fails.
"""

import os
import subprocess
import sys
import tempfile
import time
import venv
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


def try_environment(wheel: Path, extras: str) -> bool:
    """Return whether all programs of one environment succeeded."""
    title = extras or "no extra"
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="hmac_guard-extras-") as folder:
        venv.create(folder, with_pip=True, symlinks=True)
        python = str(Path(folder, "bin", "python"))
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
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
    failed = [extras for extras in tried if not try_environment(Path(wheel).resolve(), extras)]
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
