"""The long run: `python -m acceptance.differential`, with `--help` for its options. It ends with 1 where there is a
finding."""

import argparse
import logging
import sys
import time
from collections import Counter
from functools import partial
from itertools import islice
from multiprocessing import Pool
from typing import NamedTuple

from acceptance.differential.compare import SCHEMES, Comparison, Finding
from acceptance.differential.deviations import explained
from acceptance.differential.generate import requests
from acceptance.differential.views import event_loop

# The slowest first, so that the processes end together.
SOURCES = sorted(
    SCHEMES,
    key=[
        "multipart",
        "body-or-query",
        "raw",
        "form",
        "json",
        "number",
        "query",
        "time",
        "header",
        "cookie",
        "path",
    ].index,
)
STEP = 10_000


class Result(NamedTuple):
    """What one source came to."""

    source: str
    counts: Counter[str]
    deviations: int
    findings: list[Finding]


def run(source: str, seed: int, count: int) -> Result:
    """`count` generated requests of one source, with a line of progress now and then."""
    logging.disable(logging.CRITICAL)
    deviations, findings, start = 0, list[Finding](), time.monotonic()
    with event_loop() as loop:
        comparison = Comparison(source, loop)
        for sent in islice(requests(source, seed), count):
            for finding in comparison.findings(sent):
                if explained(finding):
                    deviations += 1
                else:
                    print(f"FINDING {finding}", flush=True)
                    findings.append(finding)
            done = comparison.counts["generated"]
            if done % STEP == 0:
                rate = done / (time.monotonic() - start)
                print(
                    f"{source}: {done:,} generated, {comparison.counts['accepted']:,} accepted, {rate:.0f}/s",
                    flush=True,
                )
    return Result(source, comparison.counts, deviations, findings)


def main() -> int:
    parser = argparse.ArgumentParser(prog="differential", description=__doc__)
    parser.add_argument("sources", nargs="*", help=f"of {', '.join(SOURCES)}; all of them, if none is named")
    parser.add_argument("--count", type=int, default=500_000, help="requests for each source (default: %(default)s)")
    parser.add_argument(
        "--seed", type=int, default=1, help="another number makes other requests (default: %(default)s)"
    )
    parser.add_argument("--processes", type=int, default=2, help="sources at a time (default: %(default)s)")
    options = parser.parse_args()
    if unknown := set(options.sources) - set(SOURCES):
        parser.error(f"there is no source {', '.join(sorted(unknown))}")
    print(f"seed {options.seed}, {options.count:,} requests for each source", flush=True)
    with Pool(options.processes) as pool:
        work = partial(run, seed=options.seed, count=options.count)
        results = list(pool.imap_unordered(work, options.sources or SOURCES))
    for result in results:
        print(_line(result))
    return int(any(result.findings for result in results))


def _line(result: Result) -> str:
    refusals = {name: count for name, count in sorted(result.counts.items()) if name.startswith("refused")}
    return (
        f"{result.source}: {result.counts['generated']:,} generated, {result.counts['accepted']:,} distinct accepted, "
        f"{len(result.findings)} findings, {result.deviations:,} answers as in the table of deviations; {refusals}"
    )


if __name__ == "__main__":
    sys.exit(main())
