"""`python -m hmac_guard.cli` is the command `hmac-guard`."""

from hmac_guard.cli import main

main()
