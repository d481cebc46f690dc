"""The exceptions of the package, by who has to act.

- `ConfigError`: the engineer who configures a guard. Raised when an object is made with invalid arguments.
- `KeysUnavailable`: the operator of the keys. The request is answered 503.
- `WeakKeyWarning`: the owner of a key that works, but is too short.
- `UnusableRequest`: the server. Internal; the request is answered 503.
- `NotJson`: the sender. Internal; the request is refused.
- `BodyAlreadyRead`: the application, which reads the body before the guard. Internal; the request is answered 503.
- `OuterError`: a layer outside of the guard, which answers the request. Internal.
"""

from typing import NoReturn


class ConfigError(ValueError):
    """An argument of a guard, scheme, source or key is not valid. The text names it and the fix."""


class KeysUnavailable(Exception):
    """The keys cannot be read now. A key resolver may raise it: the request is answered 503, never let through."""


class WeakKeyWarning(UserWarning):
    """A key is shorter than 16 bytes. RFC 2104 section 3 advises a key as long as the digest (32 bytes for sha256)."""


class UnusableRequest(TypeError):
    """A server passes a part of a request with a type that the specification does not allow.

    Internal. The request is answered 503, and the log names the part.
    """


class NotJson(ValueError):
    """A body is not JSON that every framework reads alike.

    Internal. The request is refused, and the log has the text, which names a key or a number of the body.
    """


class BodyAlreadyRead(Exception):
    """Code before the guard has read the body from its stream, and the framework has not kept it.

    Internal. The request is answered 503, and the log has the text.
    """

    def __str__(self) -> str:
        return (
            "code before the guard has read the body, for example as a form, and its bytes are gone; put the guard "
            "around the application, or read the body after the guard"
        )


class OuterError(Exception):
    """Carries the exception of a layer outside of the guard past the code that handles the guard's failures.

    Internal. An adapter catches it and calls `raise_error` after the `except`, so that the exception has no context.
    """

    def __init__(self, error: Exception) -> None:
        self._error: Exception | None = error

    def raise_error(self) -> NoReturn:
        """Raise the exception of the layer."""
        error, self._error = self._error, None
        # The frames of its traceback have the request and the body, and the caller keeps this object.
        self.__traceback__ = None
        try:
            raise error or self
        finally:
            del error
