"""Installs each extra alone in a new environment and runs a small program that uses it: `make test-extras`."""
