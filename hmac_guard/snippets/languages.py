"""The languages: their literals, string concatenation and names. The code is in `templates/`."""

import itertools
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from hmac_guard.core.message import BODY, METHOD, Id, Literal
from hmac_guard.core.scheme import Scheme
from hmac_guard.snippets import literals

# Reserved words of all languages, and the names that the templates use. There is one list for all languages, so that
# an id has the same name in all of them.
_TAKEN = frozenset(
    """
    current_catalog current_date current_role current_schema current_time current_timestamp current_user session_user
    abstract actual after alias alignas alignof all analyze and annotation any append args arguments argv array as
    asc assert asymmetric async at auto await base base64 become begin between bigint binary bit bool boolean both
    box break btoa by byte call callable cap case cast catch chan char character check checked class clone coalesce
    collate collation column companion concat concurrently console const constraint constructor continue copy crate
    create cross crossinline crypto current data date debugger dec decimal declare def default defer deferrable
    defined defmodule del delegate delete desc die diff digest distinct do double drop dyn dynamic each echo elif
    else elseif elsif empty encoder end enddeclare endfor endforeach endif endswitch endwhile ensure enum err error
    eval event except execute exists exit expect explicit export exports extends extern extract fallthrough false
    fetch field file final finally fixed float fn for foreach foreign format freeze from full fun func function get
    global go goto grant greatest group grouping hash hashlib having hex hmac if ilike impl implements implicit
    import in infinity infix init initially inline inner inout instanceof insteadof int integer interface internal
    intersect interval into iota is isnull isset it iterator join key lambda lateinit lateral leading least left len
    let library like limit list localtime localtimestamp lock long loop mac macro main make map match message method
    mod module move mut namespace nan national native natural nchar new next nil noinline none nonlocal normalize
    not notnull null nullif numeric object of offset ok on only open openssl operator or order out outer overlaps
    overlay override package panic params pass perform placing pointer position precision primary print printf priv
    private proc process property protected prototype pub public quote raise range readonly real record redo ref
    references register reified require rescue reserved rest result retry return returning right row sbyte sealed secret
    select self session set setof sha256 sha384 sha512 short sign signature signed signer similar sizeof smallint some
    stackalloc static str strict strictfp string struct substring super superclass suspend switch symmetric
    synchronized system table tablesample tailrec template text then this throw throws time timestamp to trailing
    trait transient treat trim true try type typealias typedef typeof uint ulong unchecked undef undefined union
    unique unless unquote unsafe unset unsized until use user ushort using utf8 val value values var vararg varchar
    variadic vec verbose virtual void volatile when where while window with xmlattributes xmlconcat xmlelement
    xmlexists xmlforest xmlnamespaces xmlparse xmlpi xmlroot xmlserialize xmltable xor yield
    """.split()  # noqa: SIM905 four hundred words read better without quotes
)
_WORD = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z0-9]+")
_LONGEST = 40


def snake(words: list[str]) -> str:
    return "_".join(words)


def camel(words: list[str]) -> str:
    return words[0] + "".join(word.capitalize() for word in words[1:])


def go_camel(words: list[str]) -> str:
    return words[0] + "".join("ID" if word == "id" else word.capitalize() for word in words[1:])


# The names of the parts of a message that are no ids.
_PARTS = {"timestamp": "signed_at", "expires": "expires_at", METHOD: "http_method", BODY: "raw_body"}


def signed_names(scheme: Scheme, style: Callable[[list[str]], str]) -> dict[str, str]:
    """Return a name for each id, time, method and body of a message, in its order, by the name of the part."""
    parts = [part for part in scheme.parts if not isinstance(part, Literal)]
    spoken = {part.name: part.name if isinstance(part, Id) else _PARTS[part.name] for part in parts}
    names = local_names(spoken.values(), style)
    return {name: names[own] for name, own in spoken.items()}


def local_names(ids: Iterable[str], style: Callable[[list[str]], str]) -> dict[str, str]:
    """Return a different local name for each id."""
    names: dict[str, str] = {}
    for own in ids:
        words = _words(own)
        numbered = (style([*words, f"n{number}"]) for number in itertools.count(2))
        names[own] = next(name for name in itertools.chain([style(words)], numbered) if name not in names.values())
    return names


def local_name(name: str, style: Callable[[list[str]], str]) -> str:
    return style(_words(name))


def _words(name: str) -> list[str]:
    """Split a name into ASCII words. "id" is added if the name is reserved in a language."""
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    words = [word.lower() for word in _WORD.findall(ascii_name[:_LONGEST])]
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
    literal: literals.Literal
    joiner: str = " + "
    piece: str = "{}"
    text: literals.Literal | None = None


_ALL = (
    Language("python", "Python", "python", snake, literals.python),
    Language("javascript", "JavaScript (Node)", "js", camel, literals.braced),
    Language("typescript", "TypeScript", "ts", camel, literals.braced),
    Language("webcrypto", "Web Crypto", "js", camel, literals.braced),
    Language("java", "Java", "java", camel, literals.java),
    Language("kotlin", "Kotlin", "kotlin", camel, literals.utf16),
    Language("ruby", "Ruby", "ruby", snake, literals.braced),
    Language("go", "Go", "go", go_camel, literals.go),
    Language("rust", "Rust", "rust", snake, literals.braced, joiner=", "),
    Language("php", "PHP", "php", camel, literals.braced, joiner=" . ", piece="${}"),
    Language("csharp", "C#", "csharp", camel, literals.utf16),
    Language("elixir", "Elixir", "elixir", snake, literals.braced, joiner=" <> "),
    Language(
        *("plpgsql", "PL/pgSQL (pgcrypto)", "sql", snake, literals.sql_bytes),
        joiner="\n      || ",
        piece="convert_to({}, 'UTF8')",
        text=literals.sql_text,
    ),
    Language("shell", "Shell (openssl)", "sh", snake, literals.shell_format, joiner="", piece="%s"),
)
LANGUAGES: Mapping[str, Language] = {language.key: language for language in _ALL}
