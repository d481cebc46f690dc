"""`python -m hmac_guard.cli` runs the command `hmac-guard`."""

from hmac_guard.cli import main

main()
