"""Coverage-guided fuzzing with atheris: `python -m acceptance.fuzz TARGET SECONDS`, or `make fuzz-atheris`."""
