"""No extra: guards and the sources of keys that need no other package; errors name the package to install."""

import os
import tempfile
from functools import partial
from pathlib import Path

from acceptance.extras.calls import SCHEME, SECRET, check, check_error, check_guard, run_command
from hmac_guard import Guard, client, keys
from hmac_guard.keys import ChainKeys, EnvKeys, FileKeys

os.environ.update(HMAC_KEY_acme=SECRET)
with tempfile.TemporaryDirectory() as folder:
    Path(folder, "acme").write_text(SECRET)
    check_guard(Guard(SCHEME, SECRET))
    check_guard(Guard(SCHEME, {"acme": SECRET}))
    check_guard(Guard(SCHEME, EnvKeys("HMAC_KEY_{tenant}")))
    check_guard(Guard(SCHEME, FileKeys(f"{folder}/{{tenant}}")))
    check_guard(Guard(SCHEME, ChainKeys(EnvKeys("HMAC_KEY_{tenant}"), FileKeys(f"{folder}/{{tenant}}"))))

for name, extra in {
    "CachedKeys": "cache",
    "RedisInvalidation": "redis",
    "SqlKeys": "sql",
    "VerdictCounts": "sql",
}.items():
    check_error(partial(getattr, keys, name), name, f"pip install 'hmac-guard[{extra}]'")
check_error(lambda: client.HttpxAuth, "HttpxAuth", "pip install httpx")
check_error(lambda: client.RequestsAuth, "RequestsAuth", "pip install requests")
check("pip install 'hmac-guard[cli]'" in run_command("sign", status=2), "the command does not say what it needs")
