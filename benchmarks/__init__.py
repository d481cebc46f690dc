"""Measures the cost of a guard, compared with the standard library's HMAC and its peers: `python -m benchmarks`."""
