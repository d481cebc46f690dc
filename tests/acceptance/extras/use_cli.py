"""The extra `cli`: every command that needs no other extra. The other commands name the extra that they need."""

from importlib.util import find_spec

from acceptance.extras.calls import SECRET, check, run_command

IDS = ("integration_id=github", "connection_id=user-42")
KEY = ("--key-env", "KEY")

check(len(run_command("keygen").strip()) >= 32, "keygen makes no key")
signature = run_command("sign", "nango", *IDS, *KEY, KEY=SECRET).strip()
check(len(signature) == 64, f"sign printed {signature!r}")
run_command("verify", "nango", *IDS, "--signature", signature, *KEY, KEY=SECRET)
run_command("verify", "nango", *IDS, "--signature", "0" * 64, *KEY, KEY=SECRET, status=1)
url = f"https://api.example.com/oauth/connect/github?connection_id=user-42&hmac={signature}"
check("Verified" in run_command("explain", "nango", url, *KEY, KEY=SECRET), "explain does not verify the signature")
check("createHmac" in run_command("snippet", "nango", "--lang", "javascript"), "snippet writes no JavaScript")
check("# How to sign" in run_command("snippet", "nango", "--format", "markdown"), "snippet writes no page")
check("suprsend" in run_command("schemes"), "schemes does not list the presets")

if find_spec("sqlalchemy") is None:
    listing = run_command("keys", "list", "--db", "sqlite://", status=2)
    check("pip install 'hmac-guard[sql]'" in listing, f"keys says {listing!r}")
if find_spec("flask") is None:
    demo = run_command("demo", status=2)
    check("pip install 'hmac-guard[demo]'" in demo, f"demo says {demo!r}")
