"""Mistakes with whose key it is: another one that is known, or none at all."""

from collections.abc import Iterable, Iterator

from hmac_guard.explain.mistakes.shape import Attempt, Mistake, Part

_UNSET = ("", "undefined", "null", "None", "nil", "false", "0", "NaN", "[object Object]", "secret", "changeme")
_UNSET_MISTAKE = (
    "key_unset",
    "instead of the key {what} was used: the signer's setting is not set",
    "set the key where the signer runs, and let it fail where there is none",
)


def of_other_keys(previous: Iterable[tuple[str, bytes]], others: Iterable[tuple[str, bytes]]) -> Iterator[Mistake]:
    """The mistakes of using a key that is known, but not the one in force. Each comes with what it is called."""
    yield _of_keys(
        "key_previous", "the previous key ({what}) was used", "give the signer the current key", list(previous)
    )
    yield _of_keys("key_other", "another key ({what}) was used", "give the signer this tenant's key", list(others))


def of_known_texts(texts: Iterable[str], variables: Iterable[str]) -> Iterator[Mistake]:
    """The mistakes of using, instead of the key, nothing, a word, a name or another text that the request has."""
    unset = [(repr(word), word.encode()) for word in _UNSET]
    spellings = ("{}", "${}", "${{{}}}", "%{}%", "<{}>", "process.env.{}", "os.environ['{}']")
    named = [
        (f"the name {word!r}", word.encode()) for name in variables for word in (s.format(name) for s in spellings)
    ]
    yield _of_keys(*_UNSET_MISTAKE, unset + named)
    yield _of_keys(
        "key_public",
        "instead of the key {what} was used, which is no secret",
        "give the signer the secret key that belongs to it",
        [(repr(text), text.encode()) for text in texts],
    )


def _of_keys(name: str, says: str, cure: str, keys: list[tuple[str, bytes]]) -> Mistake:
    def vary(attempt: Attempt) -> Iterator[tuple[str, Attempt]]:
        return ((what, attempt._replace(key=key)) for what, key in keys)

    return Mistake(name, Part.KEY, says, cure, vary)
