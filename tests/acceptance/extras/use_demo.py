"""The extra `demo`: three applications on real servers get good and bad requests."""

from acceptance.extras.calls import check, run_command

last = run_command("demo").splitlines()[-1]
check(last.endswith("as expected"), f"the demo ended with {last!r}")
