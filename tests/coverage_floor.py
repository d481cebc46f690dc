"""Checks the coverage: all lines and branches of `core`, and 95% of the rest."""

import json
import sys
from pathlib import Path
from typing import Any

FLOOR_ELSEWHERE = 95.0


def share(files: list[dict[str, Any]]) -> float:
    covered = sum(file["summary"]["covered_lines"] + file["summary"]["covered_branches"] for file in files)
    total = sum(file["summary"]["num_statements"] + file["summary"]["num_branches"] for file in files)
    return 100.0 * covered / total if total else 100.0


def main(report: str) -> int:
    files = json.loads(Path(report).read_text())["files"]
    core = [file for name, file in files.items() if "/core/" in name]
    rest = [file for name, file in files.items() if "/core/" not in name]
    print(f"coverage: core {share(core):.2f}% (floor 100), elsewhere {share(rest):.2f}% (floor {FLOOR_ELSEWHERE:.0f})")
    return int(not core or share(core) < 100.0 or share(rest) < FLOOR_ELSEWHERE)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
