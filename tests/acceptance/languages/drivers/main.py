import sys

from signer import sign  # type: ignore[import-not-found]  # the snippet is in the same folder

for line in sys.stdin:
    print(sign(*(bytes.fromhex(field).decode() for field in line.split())))
