"""The pure room: what decides, and nothing else.

No module here does I/O, reads a clock, knows a framework or a server, or imports from the rest of the package.
A test (`tests/test_rooms.py`) holds it to that.
"""
