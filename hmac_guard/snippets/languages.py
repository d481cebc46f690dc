"""The languages: how each writes a literal, joins texts and spells names. The code itself is in `templates/`."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from hmac_guard.snippets import literals
from hmac_guard.snippets.names import camel, go_camel, snake


class Language(NamedTuple):
    """One language, or one runtime of it.

    `key`      what the command line calls it, and its template
    `title`    what a page calls it
    `fence`    what Markdown calls it
    `style`    makes a name of words
    `literal`  writes a fixed piece of the message
    `joiner`   stands between the pieces of a message
    `piece`    makes a piece of the message of an id's name
    `text`     writes any other text; None where `literal` does that too
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
