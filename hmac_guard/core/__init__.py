"""The decision, and nothing else.

No module here does I/O, reads a clock, knows a framework or a server, or imports from the rest of the package.
`tests/unit/test_structure.py` checks that.
"""
