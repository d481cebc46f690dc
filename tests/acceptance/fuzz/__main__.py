"""`python -m acceptance.fuzz TARGET SECONDS`: findings are written to `.fuzz/TARGET` and end the run with an error."""

import logging
import sys
from pathlib import Path

import atheris

# The parsers of the frameworks are also instrumented, so that the fuzzer sees where their branches differ.
INSTRUMENTED = ["hmac_guard", "werkzeug", "python_multipart", "multipart", "bottle"]

with atheris.instrument_imports(include=INSTRUMENTED):
    from acceptance.fuzz.targets import TARGETS

HERE = Path(__file__).parent


def main(name: str, seconds: str) -> None:
    logging.disable(logging.CRITICAL)
    corpus = HERE.parents[2] / ".fuzz" / name
    corpus.mkdir(parents=True, exist_ok=True)
    options = [f"-max_total_time={seconds}", "-max_len=4096", "-timeout=20", f"-artifact_prefix={corpus}/"]
    atheris.Setup([sys.argv[0], *options, str(corpus), str(HERE / "seeds" / name)], TARGETS[name]())
    atheris.Fuzz()


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in TARGETS or not sys.argv[2].isdecimal():
        sys.exit(f"usage: python -m acceptance.fuzz TARGET SECONDS, with one of {', '.join(TARGETS)}")
    main(*sys.argv[1:])
