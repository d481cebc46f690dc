"""Measures `import hmac_guard` above `import asyncio, hmac, urllib.parse`, each time in a new process."""

import json
import os
import statistics
import subprocess
import sys

from benchmarks.harness import Result

BASE = "import asyncio, hmac, urllib.parse"
_SCRIPT = """
import sys, time
started = time.perf_counter()
{base}
between, known = time.perf_counter(), set(sys.modules)
{more}
ended = time.perf_counter()
print("[%r, %r, %r]" % (between - started, ended - between, len(set(sys.modules) - known)))
"""


def run(rounds: int) -> Result:
    imports = ("pass", "import hmac_guard", "import hmac_guard.asgi", "import hmac_guard.wsgi")
    samples: dict[str, list[list[float]]] = {statement: [] for statement in imports}
    for statement in imports:
        _import(statement)
    for _ in range(max(3, min(rounds, 31))):
        for statement in imports:
            samples[statement].append(_import(statement))
    base = [sample[0] * 1000 for sample in samples["pass"]]
    result: Result = {BASE: {"median ms": statistics.median(base), "best ms": min(base)}}
    for statement in imports[1:]:
        above = [sample[1] * 1000 for sample in samples[statement]]
        result[statement] = {
            "median ms": statistics.median(above),
            "best ms": min(above),
            "/ base": statistics.median(sample[1] / sample[0] for sample in samples[statement]),
            "modules": samples[statement][0][2],
        }
    return result


def _import(more: str) -> list[float]:
    script = _SCRIPT.format(base=BASE, more=more)
    # Compiled modules are cached, as in an installed package.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    seconds: list[float] = json.loads(done.stdout)
    return seconds
