"""The exceptions of the package, by whose fault it is.

ConfigError        the engineer who configures a guard; raised when the wrong thing is made
KeysUnavailable    the place where the keys are; the request is answered 503
WeakKeyWarning     a key that works, but is too short
UnusableRequest    the server; internal, the request is answered 503
BodyAlreadyRead    the application, which reads the body before the guard; internal, the request is answered 503
"""


class ConfigError(ValueError):
    """A guard, scheme, source or key was given something that cannot work. The text names it and the cure."""


class KeysUnavailable(Exception):
    """Keys could not be had just now. A key resolver may raise it; the request is refused with 503, never passed."""


class WeakKeyWarning(UserWarning):
    """A key is shorter than 16 bytes. RFC 2104 section 3 advises a key as long as the digest (32 bytes for sha256)."""


class UnusableRequest(TypeError):
    """A server gives a part of a request in a type that the specification does not know. Internal: the request is
    refused with 503, and the log says which part it is."""


class BodyAlreadyRead(Exception):
    """Code before the guard has read the body from its stream, and the framework has not kept it. Internal: the request
    is refused with 503."""
