"""What a guard costs, measured beside the standard library's HMAC and beside its peers. Run `python -m benchmarks`."""
