"""The extra `redis`: a cache that is notified of changes. Not run if Redis is not available."""

import os
import sys
import time
from typing import Any
from uuid import uuid4

import redis

from acceptance.extras.calls import SCHEME, SECRET, check_guard
from hmac_guard import Guard
from hmac_guard.keys import CachedKeys, RedisInvalidation

URL = os.environ.get("HMAC_GUARD_REDIS", "redis://127.0.0.1:6379/0")
try:
    redis.Redis.from_url(URL).ping()
except redis.ConnectionError:
    print(f"not run: no Redis at {URL}")
    sys.exit(0)

secret = [SECRET]


def look_up(claim: Any) -> str:
    return secret[0]


news = RedisInvalidation(URL, channel=f"extras:{uuid4().hex}")
keys = CachedKeys(look_up, ttl=3600)
guard = Guard(SCHEME, keys)
news.watch(keys)
time.sleep(1)  # wait until the cache is subscribed, because it drops all keys at that moment
check_guard(guard)

secret[0] = "a new secret, long enough to be one"
check_guard(guard)  # still the old one
news.publish("acme")
time.sleep(2)
check_guard(guard, secret[0])
news.close()
