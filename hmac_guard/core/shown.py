"""Objects whose `repr` never fails."""


class Shown:
    """The base class of such objects.

    Python 3.10 and 3.11 call `repr` of each local variable that a traceback shows. In an `__init__` that raises, `self`
    has not all its fields.
    """

    __slots__ = ()

    def _description(self) -> str:
        """Return the `repr`. It may use every field."""
        return object.__repr__(self)

    def __repr__(self) -> str:
        try:
            return self._description()
        except AttributeError:
            return f"<{type(self).__name__}, not made>"
