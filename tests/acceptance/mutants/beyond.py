"""Mistakes where mutmut makes none: in text outside of functions, and in functions with a decorator."""

from acceptance.mutants.named import Mutant

BEYOND_MUTMUT = [
    Mutant("U+FFFD in an id", "core.text:_NOT_IN_AN_ID", "\\ufeff\\ufffd\\ud800", "\\ufeff\\ud800", "test_reading.py"),
    Mutant("U+FEFF in an id", "core.text:_NOT_IN_AN_ID", "\\x9f\\ufeff", "\\x9f", "test_reading.py"),
    Mutant("C1 controls in an id", "core.text:_NOT_IN_AN_ID", "\\x7f-\\x9f\\ufeff", "\\x7f\\ufeff", "test_reading.py"),
    Mutant("an escape of one digit", "core.text:_BAD_ESCAPE", "[0-9A-Fa-f]{2})", "[0-9A-Fa-f])", "test_reading.py"),
    Mutant("an escape of other letters", "core.text:_BAD_ESCAPE", "[0-9A-Fa-f]", "[0-9A-Ga-g]", "test_reading.py"),
    Mutant("an id of 1,025 bytes", "core.text:MAX_ID_BYTES", "1024", "1025", "test_reading.py"),
    Mutant("1,001 fields", "core.text:MAX_FIELDS", "1000", "1001", "test_reading.py"),
    Mutant("65 levels of JSON", "core.bodies:MAX_DEPTH", "64", "65", "test_reading.py"),
    Mutant(
        "an index with a zero before it", "core.bodies:_INDEX", '"0|[1-9][0-9]{0,8}"', '"[0-9]{1,9}"', "test_reading.py"
    ),
    Mutant("an index in other digits", "core.bodies:_INDEX", '"0|[1-9][0-9]{0,8}"', '"\\d{1,9}"', "test_reading.py"),
    Mutant(
        "a media type for each of two lines",
        "core.bodies:parse_media",
        "else _UNCLEAR",
        "else _parse_media(line[0])",
        "test_reading.py",
    ),
    Mutant(
        "an unclear media type is an ignored one", "core.bodies:_UNCLEAR", '"unclear"', '"ignored"', "test_reading.py"
    ),
    Mutant(
        "a parameter of the media type twice",
        "core.bodies:_parse_media",
        "len(set(names)) == len(names) and not set(charsets)",
        "not set(charsets)",
        "test_reading.py",
    ),
    Mutant(
        "any charset", "core.bodies:_parse_media", ' and not set(charsets) - {"utf-8", "utf8"}', "", "test_reading.py"
    ),
    Mutant(
        "any parameter of a form's media type",
        "core.bodies:_parse_media",
        'readable and set(names) <= {"charset"}',
        "readable",
        "test_reading.py",
    ),
    Mutant(
        "any parameter of a multipart media type",
        "core.bodies:_parse_media",
        'set(names) <= {"boundary", "charset"} and ',
        "",
        "test_reading.py",
    ),
    Mutant(
        "any boundary",
        "core.bodies:_parse_media",
        "bool(_BOUNDARY.fullmatch(boundaries[0]))",
        "True",
        "test_reading.py",
    ),
    Mutant("a boundary of 71 characters", "core.bodies:_BOUNDARY", "{1,70}", "{1,71}", "test_reading.py"),
    Mutant("multipart in upper case", "core.bodies:_kind", 'return "unclear"', 'return "multipart"', "test_reading.py"),
    Mutant(
        "an upload of JSON", "core.bodies:_kind", ' and not essence.endswith(("+json", "+xml"))', "", "test_reading.py"
    ),
    Mutant("a comma in a cookie", "core.cookies:COOKIE_VALUE", "[!#$&-+\\--:<-", "[!#$&-:<-", "test_reading.py"),
    Mutant("% in a cookie", "core.cookies:COOKIE_VALUE", "[!#$&-+", "[!#-+", "test_reading.py"),
    Mutant("a quote in a cookie", "core.cookies:COOKIE_VALUE", '"[!#$&', '"[!-$&', "test_reading.py"),
    Mutant("two spaces in a header", "core.sources:HEADER_VALUE", "(?: [!-~]+)*", "(?: +[!-~]+)*", "test_reading.py"),
    Mutant(
        "a space before a header's value",
        "core.sources:HEADER_VALUE",
        '"[!-~]+(?: [!-~]+)*"',
        '"[ -~]+"',
        "test_reading.py",
    ),
    Mutant(
        "_ in the name of a header", "core.sources:_HEADER_NAME", "+.^`|~-]+", "+.^_`|~-]+", "test_config_errors.py"
    ),
    Mutant(
        "an id in a header that frames", "core.sources:_NOT_A_PLACE", '"content-length", ', "", "test_config_errors.py"
    ),
    Mutant("numbers that JavaScript rounds", "core.bodies:_MAX_INT", "2**53 - 1", "2**53", "test_reading.py"),
    Mutant(
        "a pointer without a slash",
        "core.sources:_POINTER",
        '"(?:/(?:[^/~]|~[01])*)+"',
        '"(?:/?(?:[^/~]|~[01])*)+"',
        "test_config_errors.py",
    ),
    Mutant("an empty segment", "core.paths:_ODD", "//|/\\.", "/\\.", "test_policy.py"),
    Mutant("a segment of dots at the end", "core.paths:_ODD", "(?:/|\\Z)", "/", "test_policy.py"),
    Mutant("a segment of one dot", "core.paths:_ODD", "\\.\\.?(?:/", "\\.\\.(?:/", "test_policy.py"),
    Mutant("a backslash in a path", "core.paths:_ODD", "[\\\\\\x00-\\x1f", "[\\x00-\\x1f", "test_policy.py"),
    Mutant("DEL in a path", "core.paths:_ODD", "\\x7f-\\x9f\\ufffd", "\\x80-\\x9f\\ufffd", "test_policy.py"),
    Mutant(
        "U+FFFD in a path", "core.paths:_ODD", "\\ufffd\\ud800-\\udfff]|%2f", "\\ud800-\\udfff]|%2f", "test_policy.py"
    ),
    Mutant("an escaped slash", "core.paths:_ODD", "|%2f|%5c", "|%5c", "test_policy.py"),
    Mutant("an escaped backslash", "core.paths:_ODD", "|%2f|%5c", "|%2f", "test_policy.py"),
    Mutant("an escaped backslash in upper case", "core.paths:_ODD", "    re.IGNORECASE,\n", "", "test_policy.py"),
    Mutant("a segment that is empty", "core.paths:_ID_SEGMENT", '"([^/]+)"', '"([^/]*)"', "test_reading.py"),
    Mutant("an id of two segments", "core.paths:_ID_SEGMENT", '"([^/]+)"', '"(.+)"', "test_reading.py"),
    Mutant("weak keys unnoticed", "core.secret:WEAK_BELOW", "16", "15", "test_secret.py"),
    Mutant("the inner pad", "core.key:_IPAD", "0x36", "0x37", "test_known_answers.py"),
    Mutant("the outer pad", "core.key:_OPAD", "0x5C", "0x5D", "test_known_answers.py"),
    Mutant(
        "a header of a part over two lines",
        "core.multipart:_PART_HEADERS",
        "[^\\r\\n\\x00]*\\r\\n",
        "[^\\x00]*\\r\\n",
        "test_reading.py",
    ),
    Mutant(
        "NUL in a header of a part", "core.multipart:_PART_HEADERS", "[^\\r\\n\\x00]*", "[^\\r\\n]*", "test_reading.py"
    ),
    Mutant(
        "base64 in a part",
        "core.multipart:_PLAIN_TRANSFER",
        '"7bit", "8bit", "binary"',
        '"7bit", "8bit", "binary", "base64"',
        "test_reading.py",
    ),
    Mutant(
        "a part in Latin-1",
        "core.multipart:_PLAIN_TEXT",
        "(us-ascii|iso-8859-1)",
        "(us-ascii)|iso-8859-1",
        "test_reading.py",
    ),
    Mutant(
        "a part's type in upper case",
        "core.multipart:_PLAIN_TEXT",
        'r"text/plain(?i:',
        'r"(?i:text/plain)(?i:',
        "test_reading.py",
    ),
    Mutant(
        "no colon and space",
        "core.multipart:_DISPOSITION",
        'rf" form-data; ?name',
        'rf" ?form-data; ?name',
        "test_reading.py",
    ),
    Mutant("a length of 19 digits", "core.bodies:MAX_LENGTH_DIGITS", "18", "19", "test_costs.py"),
    Mutant(
        "401 for an unknown tenant differs",
        "core.refusal:_ANSWERS",
        "            Reason.UNKNOWN_KEY,\n",
        "",
        "test_answers.py",
    ),
    Mutant(
        "a verdict that is always verified",
        "core.verdict:Verdict.verified",
        "return self.reason is VERIFIED",
        "return True",
        "test_verdict.py",
    ),
    Mutant(
        "bool of a verdict is bool of a tuple",
        "core.verdict:Verdict.__bool__",
        "return self.reason is VERIFIED",
        "return True",
        "test_verdict.py",
    ),
    Mutant(
        "the media type of another header",
        "asgi.request:read_scope",
        "parse_media(content_type)",
        "parse_media(coding)",
        "test_reading.py",
    ),
    Mutant(
        "the mount point in the path",
        "asgi.request:path_of",
        "        return path[len(root) :]\n",
        "        return path\n",
        "asgi/test_asgi.py",
    ),
    Mutant(
        "a mount point with a slash", "asgi.request:path_of", '    root = root.rstrip("/")\n', "", "asgi/test_asgi.py"
    ),
    Mutant(
        "header names with _",
        "asgi.request:AS_ONE",
        'XYZ_", b"abcdefghijklmnopqrstuvwxyz-"',
        'XYZ", b"abcdefghijklmnopqrstuvwxyz"',
        "test_reading.py",
    ),
    Mutant(
        "a twin whose first letter is another",
        "asgi.request:HeaderNames.__init__",
        '(name, name.upper(), name.replace(b"-", b"_"))',
        "(name,)",
        "asgi/test_asgi.py",
    ),
    Mutant(
        "SCRIPT_NAME in the path",
        "wsgi.request:read_environ",
        'environ["PATH_INFO"]',
        'environ["SCRIPT_NAME"] + environ["PATH_INFO"]',
        "test_wsgi.py",
    ),
    Mutant(
        "Content_Type beside the real one",
        "wsgi.request:environ_keys",
        '(key, "HTTP_" + key) if key in',
        "(key, None) if key in",
        "test_wsgi.py",
    ),
    Mutant(
        "a client that hung up is answered",
        "asgi.body:_read",
        "len(pending) > 1",
        "False",
        "asgi/test_asgi.py",
    ),
    Mutant(
        "a body that does not end",
        "asgi.body:_read",
        'if problem is None and not pending[0]["more_body"]:',
        "if problem is None:",
        "asgi/test_asgi.py",
    ),
    Mutant(
        "a body longer than may be, ASGI",
        "asgi.body:_collect",
        "if size > limit and",
        "if size > limit + 1 and",
        "asgi/test_asgi.py",
    ),
    Mutant(
        "a body longer than may be, WSGI",
        "wsgi.body:take_body",
        "TOO_LARGE if len(body.content) > limit else None",
        "None",
        "test_wsgi.py",
    ),
    Mutant(
        "a body of another length than it says, ASGI",
        "asgi.body:_read",
        "length == len(content)",
        "True",
        "asgi/test_asgi.py",
    ),
    Mutant(
        "a body in one message of another length than it says, ASGI",
        "asgi.body:_read",
        " and len(body) == length",
        "",
        "asgi/test_asgi.py",
    ),
    Mutant(
        "the first message of several as the whole body, ASGI",
        "asgi.body:_read",
        ' and not message.get("more_body")',
        "",
        "asgi/test_asgi.py",
    ),
    Mutant(
        "a time that is no number",
        "core.reader:Reader.read",
        "(is_time(text) if name in self._time_names else text)",
        "text",
        "core/test_dated.py",
    ),
    Mutant(
        "a name that frameworks use",
        "options:_TAKEN",
        '"query_string", "root_path"',
        '"query_string"',
        "test_config_errors.py",
    ),
]
