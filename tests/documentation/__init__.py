"""Runs every code block of the documentation: `make test-docs`."""
