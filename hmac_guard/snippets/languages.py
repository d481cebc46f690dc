"""The languages: their literals, their names, and the code that signs in each, out of `templates/`.

The texts of a scheme may contain any character, also quotes and characters that a language interpolates. So only
characters without a special meaning in all languages are written directly. All others are numeric escapes, and the code
is ASCII. A template gets the texts of a scheme only as literals or names.
"""

import itertools
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from hmac_guard.core.errors import ConfigError
from hmac_guard.core.message import BODY, METHOD, Id, Literal, Part
from hmac_guard.core.scheme import Scheme
from hmac_guard.schemes.webhooks import WhsecScheme

#: The characters without a special meaning in all languages.
_PLAIN = re.compile(r"[A-Za-z0-9 _.,:;=+|/@~^()-]")

#: Returns the literal of a text in one language.
ToLiteral = Callable[[str], str]


def _escaped(text: str, escape: Callable[[str], str]) -> str:
    return "".join(character if _PLAIN.fullmatch(character) else escape(character) for character in text)


def _quoted(escape: Callable[[str], str]) -> ToLiteral:
    return lambda text: f'"{_escaped(text, escape)}"'


def _by_width(character: str) -> str:
    number = ord(character)
    if number < 0x80:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def _utf16(character: str) -> str:
    return re.sub("....", r"\\u\g<0>", character.encode("utf-16-be").hex())


def _java(character: str) -> str:
    # Java reads \u0022 as a quote before it looks for literals, an octal escape after that.
    return f"\\{ord(character):03o}" if character.isascii() else _utf16(character)


def _octal(character: str, backslash: str = "\\") -> str:
    return "".join(f"{backslash}{byte:03o}" for byte in character.encode())


python_literal = go_literal = _quoted(_by_width)
braced_literal = _quoted(lambda character: f"\\u{{{ord(character):x}}}")
utf16_literal = _quoted(_utf16)
java_literal = _quoted(_java)


def sql_text_literal(text: str) -> str:
    """Return a PostgreSQL text literal. The server refuses a NUL in it."""
    return _sql(_escaped(text, lambda character: f"\\u{ord(character):04x}"))


def sql_bytes_literal(text: str) -> str:
    """Return the UTF-8 of the text as a PostgreSQL bytea literal in escape format. It may contain NULs."""
    return _sql(_escaped(text, lambda character: _octal(character, "\\\\"))) + "::bytea"


def _sql(body: str) -> str:
    return f"E'{body}'" if "\\" in body else f"'{body}'"


def shell_format(text: str) -> str:
    """Return a part of a single-quoted printf format. Hyphens are escaped: printf reads a first one as an option."""
    return _escaped(text, _octal).replace("-", "\\055")


# Reserved words of all languages, and the names that the templates use. There is one list for all languages, so that
# an id has the same name in all of them.
_TAKEN = frozenset(
    """
    create_hmac current_catalog current_date current_role current_schema current_time current_timestamp current_user
    json_array json_arrayagg json_exists json_object json_objectagg json_query json_scalar json_serialize json_table
    json_value merge_action session_user system_user
    abstract actual after alias alignas alignof all analyse analyze and annotation any append args arguments argv array
    as asc assert asymmetric async at authorization auto await base base64 become begin between bigint binary bit bool
    boolean both box break btoa by byte call callable cap case cast catch chan char character check checked class clone
    coalesce collate collation column companion concat concurrently console const constraint constructor continue copy
    crate create cross crossinline crypto current data date debugger dec decimal declare def default defer deferrable
    defined defmodule del delegate delete desc die diff digest distinct do document double drop dyn dynamic each echo
    elif else elseif elsif empty encoder end enddeclare endfor endforeach endif endswitch endwhile ensure enum err error
    eval event except execute exists exit expect explicit export exports extends extern extract fallthrough false fetch
    field file final finally fixed float fn for foreach foreign format found freeze from full fun func function gen get
    global go goto grant greatest group grouping hash hashlib having hex hmac if ilike impl implements implicit import
    in infinity infix init initially inline inner inout instanceof insteadof int integer interface internal intersect
    interval into iota is isnull isset it iterator join json key lambda lateinit lateral leading least left len let
    library like limit list localtime localtimestamp lock long loop mac macro main make map match message method mod
    module move mut namespace nan national native natural nchar new next nil noinline none nonlocal normalize not
    notnull null nullif numeric object of offset ok on only open openssl operator or order out outer overlaps overlay
    override package panic params pass perform placing pointer position precision primary print printf priv private proc
    process property protected prototype pub public query quote raise range readonly real record redo ref references
    register reified require rescue reserved response rest result retry return returning right row sbyte sealed secret
    select self session set setof sha256 sha384 sha512 short sign signature signed signer similar sizeof smallint some
    stackalloc static str strict strictfp string struct substring super superclass suspend switch symmetric synchronized
    system table tablesample tailrec template text then this throw throws time timestamp to trailing trait transient
    treat trim true try type typealias typedef typeof uint ulong unchecked undef undefined union unique unless unquote
    unsafe unset unsized until use user ushort using utf8 val value values var vararg varchar variadic vec verbose
    virtual void volatile when where while window with xmlattributes xmlconcat xmlelement xmlexists xmlforest
    xmlnamespaces xmlparse xmlpi xmlroot xmlserialize xmltable xor yield
    """.split()  # noqa: SIM905 four hundred words read better without quotes
)
_WORD = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z0-9]+")
_MAX_LENGTH = 40


def snake(words: list[str]) -> str:
    """Return a name like `order_id`."""
    return "_".join(words)


def camel(words: list[str]) -> str:
    """Return a name like `orderId`."""
    return words[0] + "".join(word.capitalize() for word in words[1:])


def go_camel(words: list[str]) -> str:
    """Return a name like `orderID`."""
    return words[0] + "".join("ID" if word == "id" else word.capitalize() for word in words[1:])


# The names of the parts of a message that are not ids.
_PARTS = {"timestamp": "signed_at", "expires": "expires_at", METHOD: "http_method", BODY: "raw_body"}


def signed_names(scheme: Scheme, style: Callable[[list[str]], str]) -> dict[str, str]:
    """Return a name for each id, time, method and body of a message, in its order, by the name of the part."""
    parts = [part for part in scheme.parts if not isinstance(part, Literal)]
    own_names = (part.name if isinstance(part, Id) else _PARTS[part.name] for part in parts)
    return dict(zip((part.name for part in parts), local_names(own_names, style), strict=True))


def local_names(own_names: Iterable[str], style: Callable[[list[str]], str]) -> list[str]:
    """Return a different local name for each of these names, also if two of them are equal."""
    names: list[str] = []
    for own in own_names:
        words = _words(own)
        numbered = (style([*words, f"n{number}"]) for number in itertools.count(2))
        names.append(next(name for name in itertools.chain([style(words)], numbered) if name not in names))
    return names


def local_name(name: str, style: Callable[[list[str]], str]) -> str:
    """Return a name of a scheme as a name in a language."""
    return style(_words(name))


def _words(name: str) -> list[str]:
    """Split a name into ASCII words. "id" is added if the name is reserved in a language."""
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    words = [word.lower() for word in _WORD.findall(ascii_name[:_MAX_LENGTH])]
    if not words or not words[0][0].isalpha():
        words = ["id", *words]
    return [*words, "id"] if snake(words) in _TAKEN else words


class Language(NamedTuple):
    """One language, or one runtime of a language.

    Attributes:
        key: The name on the command line, and of the template.
        title: The name on a page.
        fence: The name for Markdown code blocks.
        style: Joins words to a name.
        literal: Returns the literal of a fixed part of the message.
        joiner: The text between the parts of a message.
        piece: The format of an id in the message, with `{}` for its name.
        text: Returns the literal of other texts. None if `literal` does this too.
    """

    key: str
    title: str
    fence: str
    style: Callable[[list[str]], str]
    literal: ToLiteral
    joiner: str = " + "
    piece: str = "{}"
    text: ToLiteral | None = None


_ALL = (
    Language("python", "Python", "python", snake, python_literal),
    Language("javascript", "JavaScript (Node)", "js", camel, braced_literal),
    Language("typescript", "TypeScript", "ts", camel, braced_literal),
    Language("webcrypto", "Web Crypto", "js", camel, braced_literal),
    Language("java", "Java", "java", camel, java_literal),
    Language("kotlin", "Kotlin", "kotlin", camel, utf16_literal),
    Language("ruby", "Ruby", "ruby", snake, braced_literal),
    Language("go", "Go", "go", go_camel, go_literal),
    Language("rust", "Rust", "rust", snake, braced_literal, joiner=", "),
    Language("php", "PHP", "php", camel, braced_literal, joiner=" . ", piece="${}"),
    Language("csharp", "C#", "csharp", camel, utf16_literal),
    Language("elixir", "Elixir", "elixir", snake, braced_literal, joiner=" <> "),
    Language(
        *("plpgsql", "PL/pgSQL (pgcrypto)", "sql", snake, sql_bytes_literal),
        joiner="\n      || ",
        piece="convert_to({}, 'UTF8')",
        text=sql_text_literal,
    ),
    Language("shell", "Shell (openssl)", "sh", snake, shell_format, joiner="", piece="%s"),
)
LANGUAGES: Mapping[str, Language] = {language.key: language for language in _ALL}


# The output is not HTML. Each text is escaped for its language before a template gets it.
templates = Environment(
    loader=PackageLoader("hmac_guard.snippets"),
    autoescape=False,  # noqa: S701
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


def snippet(scheme: Scheme, language: str) -> str:
    """Return the code of a function that makes the signature from the key, the ids and the other signed values.

    Args:
        scheme: The scheme.
        language: A key of `LANGUAGES`.

    Returns:
        ASCII text, at most 80 columns wide for the presets.

    Raises:
        ConfigError: The language is unknown, or the secrets of the scheme are used decoded.
    """
    check_keys_are_text(scheme)
    if language not in LANGUAGES:
        raise ConfigError(f"snippet: language {language!r} is unknown; use one of {', '.join(LANGUAGES)}")
    return templates.get_template(f"languages/{language}.j2").render(_context(scheme, LANGUAGES[language]))


def check_keys_are_text(scheme: Scheme) -> None:
    """Check that the code, which uses its key as text, can sign for the scheme.

    Raises:
        ConfigError: The secrets of the scheme are used decoded.
    """
    if isinstance(scheme, WhsecScheme):
        raise ConfigError(
            f"snippet: a secret 'whsec_…' of the scheme {scheme.name!r} is used decoded, and this code uses a key as "
            "text; sign with the library of the vendor (standardwebhooks, svix), or in Python with Scheme.sign and "
            "Key.from_whsec"
        )


def _context(scheme: Scheme, language: Language) -> dict[str, Any]:
    """Return the variables of a template.

    Returns:
        scheme: The name of the scheme as a name in the language.
        ids: The names of the ids and of the other signed values, in the order of the message.
        optional: The name of the optional id, or "".
        head: The message, or its part before the optional id.
        middle: The part that is omitted together with the optional id.
        tail: The part after it.
    """
    names = signed_names(scheme, language.style)

    def message(parts: Sequence[Part]) -> str:
        return language.joiner.join(
            language.literal(part.text) if isinstance(part, Literal) else language.piece.format(names[part.name])
            for part in parts
        )

    head, middle, tail = _around_the_optional(scheme)
    return {
        "scheme": local_name(scheme.name, language.style),
        "ids": list(names.values()),
        "optional": names[next(iter(scheme.optional))] if middle else "",
        "head": message(head),
        "middle": message(middle),
        "tail": message(tail),
        "prefix": (language.text or language.literal)(scheme.prefix) if scheme.prefix else "",
        "algorithm": scheme.algorithm,
        "encoding": scheme.encoding,
    }


def _around_the_optional(scheme: Scheme) -> tuple[Sequence[Part], Sequence[Part], Sequence[Part]]:
    for index, part in enumerate(scheme.parts):
        if isinstance(part, Id) and part.name in scheme.optional:
            return scheme.parts[: index - 1], scheme.parts[index - 1 : index + 1], scheme.parts[index + 1 :]
    return scheme.parts, (), ()
