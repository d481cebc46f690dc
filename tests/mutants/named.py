"""Mistakes that a guard must not survive, each as a symbol of the package, a text in it, and the text that might be
there instead."""

from typing import NamedTuple


class Mutant(NamedTuple):
    """One mistake: in `symbol`, `mutated` stands for `original`; the tests in `killed_by` fail over it.

    `symbol` is a module of the package, a colon, and the qualified name of a function, class or constant.
    """

    name: str
    symbol: str
    original: str
    mutated: str
    killed_by: str

    @property
    def file(self) -> str:
        return self.symbol.partition(":")[0].replace(".", "/") + ".py"

    @property
    def name_in_module(self) -> str:
        return self.symbol.partition(":")[2]


NAMED = [
    Mutant(
        "== for compare_digest",
        "core.scheme:Scheme.proven_by",
        "hmac.compare_digest(spell(key.digest(algorithm, message)), signature)",
        "spell(key.digest(algorithm, message)) == signature",
        "test_rooms.py",
    ),
    Mutant(
        "duplicate check dropped: any source",
        "core.places:_only",
        "return values[0] if len(values) == 1 else _TWICE",
        "return values[0]",
        "test_reading.py",
    ),
    Mutant(
        "duplicate check dropped: query",
        "core.places:Places._find_in_query",
        "                found[slot] = _TWICE\n",
        "                pass\n",
        "test_reading.py",
    ),
    Mutant(
        "duplicate check dropped: header",
        "core.places:_in_header",
        "        return _TWICE\n",
        "        line = line[0]\n",
        "test_reading.py",
    ),
    Mutant(
        "duplicate check dropped: header that WSGI joined",
        "core.places:_in_header",
        '    if "," in line:\n        return _COMMA\n',
        "",
        "test_reading.py",
    ),
    Mutant(
        "duplicate check dropped: a second header line, ASGI",
        "asgi.request:HeaderNames.find",
        "if before is None:",
        "if True:",
        "test_reading.py",
    ),
    Mutant(
        "duplicate check dropped: key of a JSON object",
        "core.bodies:_unique",
        "if len(unique) != len(pairs):",
        "if False:",
        "test_reading.py",
    ),
    Mutant(
        "duplicate check dropped: two places",
        "core.reader:_pick",
        "    if len(present) < 2:\n        return present[0] if present else None\n",
        "    return present[0] if present else None\n",
        "test_reading.py",
    ),
    Mutant(
        "a header's other spellings dropped, ASGI",
        "asgi.request:HeaderNames.find",
        "numbers.get(key.translate(AS_ONE))",
        "None",
        "test_reading.py",
    ),
    Mutant(
        "last value wins",
        "core.places:_only",
        "return values[0] if len(values) == 1 else _TWICE",
        "return values[-1]",
        "test_reading.py",
    ),
    Mutant(
        "last value wins: query",
        "core.places:Places._find_in_query",
        "if before is None or isinstance(text, Refused):",
        "if True:",
        "test_reading.py",
    ),
    Mutant(
        "last value wins: content length",
        "core.bodies:read_length",
        "    if not isinstance(length, str) or",
        "    length = length[-1] if isinstance(length, list) else length\n    if",
        "test_asgi.py",
    ),
    Mutant(
        "a length and chunks",
        "core.bodies:read_length",
        "int(length) if transfer_encoding is None else _TWO_FRAMINGS",
        "int(length)",
        "test_asgi.py",
    ),
    Mutant(
        "startswith for the exemption",
        "core.paths:ExemptPaths.holds",
        "path in self._exact or path.startswith(self._prefixes)",
        "path.startswith((*self._exact, *self._prefixes))",
        "test_policy.py",
    ),
    Mutant(
        "startswith for the exemption: an entry without its last slash",
        "core.paths:ExemptPaths.holds",
        "path.startswith(self._prefixes)",
        'path.startswith(tuple(entry.rstrip("/") for entry in self._prefixes))',
        "test_policy.py",
    ),
    Mutant(
        "only: startswith in place of anywhere",
        "core.paths:GuardedPaths.holds_all",
        "prefix in start for",
        "start.startswith(prefix) for",
        "test_policy.py",
    ),
    Mutant(
        "only: the end of a path does not count",
        "core.paths:GuardedPaths.holds",
        ' or path.removesuffix("/").endswith(self._ends)',
        "",
        "test_policy.py",
    ),
    Mutant(
        "only: the last slash counts",
        "core.paths:GuardedPaths.holds",
        'path.removesuffix("/")',
        "path",
        "test_policy.py",
    ),
    Mutant(
        "$ for end of string: header",
        "core.places:_in_header",
        "not HEADER_VALUE.fullmatch(line)",
        'not __import__("re").match(HEADER_VALUE.pattern + "$", line)',
        "test_reading.py",
    ),
    Mutant(
        "$ for end of string: cookie",
        "core.cookies:_find",
        "not COOKIE_VALUE.fullmatch(value)",
        'not re.match(COOKIE_VALUE.pattern + "$", value)',
        "test_reading.py",
    ),
    Mutant(
        "$ for end of string: media type",
        "core.bodies:_parse_media",
        "_MEDIA_TYPE.fullmatch(value)",
        're.match(_MEDIA_TYPE.pattern + "$", value)',
        "test_reading.py",
    ),
    Mutant(
        "$ for end of string: index in a JSON pointer",
        "core.bodies:step_down",
        "_INDEX.fullmatch(token)",
        're.match(f"(?:{_INDEX.pattern})$", token)',
        "test_reading.py",
    ),
    Mutant(
        "$ for end of string: a source's own name",
        "core.source:check_name",
        "not pattern.fullmatch(name):",
        'not re.match(pattern.pattern + "$", name):',
        "test_config_errors.py",
    ),
    Mutant(
        "$ for end of string: prefix of a signature",
        "core.scheme:Scheme.__init__",
        "not _PREFIX.fullmatch(prefix):",
        'not re.match(_PREFIX.pattern + "$", prefix):',
        "test_config_errors.py",
    ),
    Mutant(
        "websocket skipped",
        "asgi.middleware:GuardMiddleware.__call__",
        '        kind = scope["type"]\n',
        '        kind = scope["type"]\n        if kind == "websocket":\n'
        "            return await self.app(scope, receive, send)\n",
        "test_asgi.py",
    ),
    Mutant(
        "exception swallowed: the guard's own, WSGI",
        "wsgi.middleware:GuardMiddleware.__call__",
        "            refusal = decider.fault(failure)\n",
        "            return self.app(environ, start_response)\n",
        "test_wsgi.py",
    ),
    Mutant(
        "exception swallowed: the guard's own, ASGI",
        "asgi.middleware:GuardMiddleware.__call__",
        "            refusal = decider.fault(failure)\n",
        "            return await self.app(scope, receive, send)\n",
        "test_asgi.py",
    ),
    Mutant(
        "a body that could not be read is not refused",
        "core.reader:Reader._read_strictly",
        "request.body_problem or next(",
        "next(",
        "test_wsgi.py",
    ),
    Mutant(
        "a body that could not be read is read as a plain one",
        "core.reader:Reader.read",
        "if not self.needs_body or request.body_problem is None:",
        "if True:",
        "test_reading.py",
    ),
    Mutant(
        "exception swallowed: a body that broke off, WSGI",
        "wsgi.body:Body.read",
        "            return _CUT_OFF\n        self.content",
        "            pass\n        self.content",
        "test_wsgi.py",
    ),
    Mutant(
        "exception swallowed: a body that broke off, ASGI",
        "asgi.body:Body._within_deadline",
        "            return _CUT_OFF\n",
        "            return None\n",
        "test_asgi.py",
    ),
    Mutant(
        "exception swallowed: a key resolver's, WSGI",
        "wsgi.driver:_look_up",
        "return failure_of(error)",
        "return None",
        "test_keys.py",
    ),
    Mutant(
        "exception swallowed: a key resolver's, ASGI",
        "asgi.driver:Driver._look_up",
        "return failure_of(error)",
        "return None",
        "test_keys.py",
    ),
    Mutant(
        "empty key let through",
        "core.secret:_is_blank",
        "return not",
        "return False and not",
        "test_known_answers.py",
    ),
    Mutant(
        "empty key let through: blanks",
        "core.secret:bytes_of",
        "if not raw.get().strip(_BLANK):",
        "if not raw.get():",
        "test_known_answers.py",
    ),
    Mutant(
        "empty key let through: NULs",
        "core.secret:_BLANK",
        'b" \\t\\r\\n\\0"',
        'b" \\t\\r\\n"',
        "test_known_answers.py",
    ),
    Mutant(
        "empty key let through: a ring without keys",
        "core.key:Keyring.__init__",
        "        if not ring:\n",
        "        if False:\n",
        "test_config_errors.py",
    ),
    Mutant(
        "a ring whose time is over stays in force",
        "core.judge:judge",
        "keys = keys or DUMMY_KEYRING.keys",
        "keys = keys or ring.keys",
        "test_policy.py",
    ),
    Mutant(
        "a tenant's mode counts though the request was not seen whole",
        "decider:Decider.conclude",
        "if reading.whole and self.by_tenant else self.mode",
        "if self.by_tenant else self.mode",
        "test_policy.py",
    ),
    Mutant(
        "a tenant's mode counts though its keys are not by tenant",
        "decider:Decider.conclude",
        "if reading.whole and self.by_tenant else self.mode",
        "if reading.whole else self.mode",
        "test_policy.py",
    ),
    Mutant(
        "the stricter of two modes applies",
        "decider:_laxer_than",
        "max(mode, guard_mode, key=MODES.index)",
        "min(mode, guard_mode, key=MODES.index)",
        "test_policy.py",
    ),
    Mutant(
        "a tenant in a body that was not read counts as seen",
        "core.reader:Reader._saw_tenant",
        "if request.body_problem is not None or request.body is None:",
        "if False:",
        "test_policy.py",
    ),
    Mutant(
        "a tenant in a body of another kind counts as seen",
        "core.reader:Reader._saw_tenant",
        "not request.body or request.media.kind in self._tenant_kinds",
        "True",
        "test_policy.py",
    ),
    Mutant(
        "a verdict of another guard stands",
        "decider:Decider.judged",
        " or found.issuer is not self.issuer",
        "",
        "frameworks/test_flask.py",
    ),
    Mutant(
        "an exemption stands for a view",
        "decider:Decider.judged",
        "found.verdict.reason in _NOT_JUDGED or ",
        "",
        "frameworks/test_flask.py",
    ),
    Mutant(
        "a verdict that another layer wrote stands",
        "decider:Decider.judged",
        " or scope.get(self.annotate_as) is not found.verdict",
        "",
        "frameworks/test_taken_over.py",
    ),
    Mutant(
        "a verdict stands for another request",
        "decider:Decider.judged",
        "if found.request.is_same_as(request) else None",
        "",
        "frameworks/test_flask.py",
    ),
    Mutant(
        "a verdict stands for another method",
        "core.request:Request.is_same_as",
        "(self.method, self.query, self.lines) != (other.method, other.query, other.lines)",
        "(self.query, self.lines) != (other.query, other.lines)",
        "frameworks/test_flask.py",
    ),
    Mutant(
        "a verdict stands for another query",
        "core.request:Request.is_same_as",
        "(self.method, self.query, self.lines) != (other.method, other.query, other.lines)",
        "(self.method, self.lines) != (other.method, other.lines)",
        "frameworks/test_flask.py",
    ),
    Mutant(
        "a verdict stands for other headers",
        "core.request:Request.is_same_as",
        "(self.method, self.query, self.lines) != (other.method, other.query, other.lines)",
        "(self.method, self.query) != (other.method, other.query)",
        "frameworks/test_flask.py",
    ),
    Mutant(
        "a verdict stands for another path",
        "core.request:Request.is_same_as",
        "return self.path == other.path or ",
        "return True or ",
        "frameworks/test_flask.py",
    ),
    Mutant(
        "a preflight with a cookie",
        "core.request:is_preflight",
        '"cookie", "authorization"',
        '"authorization"',
        "test_policy.py",
    ),
    Mutant(
        "a preflight with an Authorization",
        "core.request:is_preflight",
        '"cookie", "authorization"',
        '"cookie"',
        "test_policy.py",
    ),
    Mutant(
        "a preflight with a body",
        "core.request:is_preflight",
        'request.header("content-length") in (None, "", "0")',
        "True",
        "test_policy.py",
    ),
    Mutant(
        "claimed filled in enforce",
        "decider:Decider._unverified",
        "Verdict(reason, self.scheme.name), mode, self.refusals",
        "Verdict(reason, self.scheme.name, claimed=MappingProxyType(reading.ids)), mode, self.refusals",
        "test_policy.py",
    ),
    Mutant(
        "claimed_tenant of a request that was not seen whole",
        "decider:Decider._unverified",
        "ring is not None and reading.whole and self.by_tenant",
        "ring is not None and self.by_tenant",
        "test_policy.py",
    ),
    Mutant(
        "an upload that begins as JSON",
        "core.reader:Reader.refuse_start",
        '(is_upload and first_json_byte(start) not in (b"{", b"["))',
        "is_upload",
        "test_reading.py",
    ),
    Mutant(
        "a body of another type counts as absent",
        "core.reader:Reader.refuse_start",
        'request.media.kind == "ignored"',
        'request.media.kind in ("ignored", "other")',
        "test_reading.py",
    ),
    Mutant(
        "an upload counts as absent where the body is the only place",
        "core.reader:Reader.refuse_start",
        " and not self._needs_every_body",
        "",
        "test_reading.py",
    ),
    Mutant(
        "a byte order mark hides JSON", "core.bodies:_BEFORE_JSON", "\\xef\\xbb\\xbf\\xfe\\xff", "", "test_reading.py"
    ),
    Mutant("a compressed body is read", "core.reader:Reader.wants_all_of", " and plain", "", "test_reading.py"),
    Mutant(
        "readings of a path are not compared",
        "core.places:Places._find_in_path",
        "any(other != path for other in paths)",
        "False",
        "test_asgi.py",
    ),
    Mutant(
        "an id is taken from a path that is not canonical",
        "core.places:Places._find_in_path",
        "path and not is_canonical(path)",
        "False",
        "test_reading.py",
    ),
    Mutant(
        "plain text is not looked at",
        "core.reader:Reader._read_plain",
        ' or not is_visible(message + "".join(others))',
        "",
        "test_reading.py",
    ),
    Mutant(
        "an ambiguous plain message",
        "core.reader:Reader._read_plain",
        "if message.count(character) != number:",
        "if False:",
        "test_message.py",
    ),
    Mutant(
        "an ambiguous message",
        "core.message:is_unambiguous",
        "return not part.separator or",
        "return True or",
        "test_message.py",
    ),
]
