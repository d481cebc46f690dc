"""Mistakes that a guard must not survive, each as the text that stands in the package and the text that might."""

from typing import NamedTuple


class Mutant(NamedTuple):
    """One mistake: in `file`, `mutated` stands for `original`; the tests in `killed_by` fail over it."""

    name: str
    file: str
    original: str
    mutated: str
    killed_by: str


NAMED = [
    Mutant(
        "== for compare_digest",
        "core/scheme.py",
        "hmac.compare_digest(spell(key.digest(algorithm, message)), signature)",
        "spell(key.digest(algorithm, message)) == signature",
        "test_rooms.py",
    ),
    Mutant(
        "duplicate check dropped: any source",
        "core/field.py",
        "        if len(values) > 1:\n            raise Refused(Reason.DUPLICATE)\n",
        "",
        "test_reading.py",
    ),
    Mutant(
        "duplicate check dropped: header",
        "core/sources.py",
        'if len(lines) > 1 or "," in lines[0]:',
        'if "," in lines[0]:',
        "test_reading.py",
    ),
    Mutant(
        "duplicate check dropped: header that WSGI joined",
        "core/sources.py",
        'if len(lines) > 1 or "," in lines[0]:',
        "if len(lines) > 1:",
        "test_reading.py",
    ),
    Mutant(
        "duplicate check dropped: key of a JSON object",
        "core/bodies.py",
        "    if len(unique) != len(pairs):\n        raise ValueError\n",
        "",
        "test_reading.py",
    ),
    Mutant(
        "duplicate check dropped: two places",
        "core/field.py",
        "            if len(found) > 1:\n                raise Refused(Reason.CONFLICT)\n",
        "",
        "test_reading.py",
    ),
    Mutant(
        "duplicate check dropped: express lane",
        "core/express.py",
        'yield f"        if {_taken(variables)}: return None"',
        'yield "        pass"',
        "test_express.py",
    ),
    Mutant(
        "duplicate check dropped: express lane, ASGI header",
        "asgi/express.py",
        "if {line} is not None or not value.isascii(): return None",
        "if not value.isascii(): return None",
        "test_express.py",
    ),
    Mutant(
        "a header's other spellings dropped: express lane, ASGI",
        "asgi/express.py",
        " and key.translate(AS_ONE) in {name(frozenset(lines))}:",
        " and False:",
        "test_express.py",
    ),
    Mutant(
        "last value wins",
        "core/field.py",
        "        if len(values) > 1:\n            raise Refused(Reason.DUPLICATE)\n",
        "        values = values[-1:]\n",
        "test_reading.py",
    ),
    Mutant(
        "last value wins: content length",
        "core/framing.py",
        "    length = lengths[0]\n    readable = len(lengths) == 1 and",
        "    length = lengths[-1]\n    readable =",
        "test_asgi.py",
    ),
    Mutant(
        "startswith for the exemption",
        "core/paths.py",
        "path in self._exact or path.startswith(self._prefixes)",
        "path.startswith((*self._exact, *self._prefixes))",
        "test_policy.py",
    ),
    Mutant(
        "startswith for the exemption: an entry without its last slash",
        "core/paths.py",
        "    return PathSet([entry for entry in checked if entry not in prefixes], prefixes)",
        '    return PathSet([entry for entry in checked if entry not in prefixes], [e.rstrip("/") for e in prefixes])',
        "test_policy.py",
    ),
    Mutant(
        "$ for end of string: header",
        "core/sources.py",
        "if lines[0] and not _HEADER_VALUE.fullmatch(lines[0]):",
        'if lines[0] and not re.match(_HEADER_VALUE.pattern + "$", lines[0]):',
        "test_reading.py",
    ),
    Mutant(
        "$ for end of string: cookie",
        "core/cookies.py",
        "not _COOKIE_VALUE.fullmatch(value):",
        'not re.match(_COOKIE_VALUE.pattern + "$", value):',
        "test_reading.py",
    ),
    Mutant(
        "$ for end of string: media type",
        "core/bodies.py",
        "_MEDIA_TYPE.fullmatch(value)",
        're.match(_MEDIA_TYPE.pattern + "$", value)',
        "test_reading.py",
    ),
    Mutant(
        "$ for end of string: index in a JSON pointer",
        "core/bodies.py",
        "_INDEX.fullmatch(token)",
        're.match(f"(?:{_INDEX.pattern})$", token)',
        "test_reading.py",
    ),
    Mutant(
        "$ for end of string: a source's own name",
        "core/field.py",
        "not pattern.fullmatch(name):",
        'not re.match(pattern.pattern + "$", name):',
        "test_config_errors.py",
    ),
    Mutant(
        "$ for end of string: prefix of a signature",
        "core/scheme.py",
        "not _PREFIX.fullmatch(prefix):",
        'not re.match(_PREFIX.pattern + "$", prefix):',
        "test_config_errors.py",
    ),
    Mutant(
        "websocket skipped",
        "asgi/middleware.py",
        '        kind = scope["type"]\n',
        '        kind = scope["type"]\n        if kind == "websocket":\n'
        "            return await self.app(scope, receive, send)\n",
        "test_asgi.py",
    ),
    Mutant(
        "exception swallowed: the guard's own, WSGI",
        "wsgi/middleware.py",
        "            refusal = guard.fault(error)\n",
        "            return self.app(environ, start_response)\n",
        "test_wsgi.py",
    ),
    Mutant(
        "exception swallowed: the guard's own, ASGI",
        "asgi/middleware.py",
        "            refusal = guard.fault(error)\n",
        "            return await self.app(scope, receive, send)\n",
        "test_asgi.py",
    ),
    Mutant(
        "exception swallowed: a request that cannot be read",
        "core/decision.py",
        "        problem = problem or refusal.reason\n",
        "        pass\n",
        "test_reading.py",
    ),
    Mutant(
        "exception swallowed: a body that broke off, WSGI",
        "wsgi/body.py",
        "        return Body(bytes(content), Reason.BAD_FRAMING)\n    if length",
        "        length = len(content)\n    if length",
        "test_wsgi.py",
    ),
    Mutant(
        "exception swallowed: a body that broke off, ASGI",
        "asgi/body.py",
        "            problem = Reason.BAD_FRAMING\n        if problem is None",
        "            problem = None\n        if problem is None",
        "test_asgi.py",
    ),
    Mutant(
        "exception swallowed: a key resolver's, WSGI",
        "wsgi/steps.py",
        "        outcome = guard.keys_failed(claim, error)\n",
        "        outcome = guard.conclude(claim, None)\n",
        "test_keys.py",
    ),
    Mutant(
        "exception swallowed: a key resolver's, ASGI",
        "asgi/steps.py",
        "            outcome = guard.keys_failed(claim, error)\n",
        "            outcome = guard.conclude(claim, None)\n",
        "test_keys.py",
    ),
    Mutant(
        "empty key let through",
        "core/secret.py",
        "    if not raw.get().strip(_BLANK):\n",
        "    if False:\n",
        "test_known_answers.py",
    ),
    Mutant(
        "empty key let through: blanks",
        "core/secret.py",
        "    if not raw.get().strip(_BLANK):\n",
        "    if not raw.get():\n",
        "test_known_answers.py",
    ),
    Mutant(
        "empty key let through: NULs",
        "core/secret.py",
        r'_BLANK = b" \t\r\n\0"',
        r'_BLANK = b" \t\r\n"',
        "test_known_answers.py",
    ),
    Mutant(
        "empty key let through: a ring without keys",
        "core/key.py",
        "        if not ring:\n",
        "        if False:\n",
        "test_config_errors.py",
    ),
    Mutant(
        "empty key let through: no key in force",
        "core/decision.py",
        "if proven_by is None or keys is NOBODY.keys:",
        "if proven_by is None and keys is not NOBODY.keys:",
        "test_keys.py",
    ),
]
