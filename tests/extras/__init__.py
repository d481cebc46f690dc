"""Each extra alone, in an otherwise empty environment, and a small program that uses it: `make test-extras`."""
