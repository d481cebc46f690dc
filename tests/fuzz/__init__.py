"""Coverage-guided fuzzing with atheris: `python -m fuzz TARGET SECONDS`, or `make fuzz-atheris`."""
