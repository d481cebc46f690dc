"""Makes one call fail in the code of a package: any call to Python or C."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple

#: Calls that are not made to fail: releasing a lock, which cannot fail (a thread would wait forever), and the calls of
#: the interpreter during garbage collection.
SPARED = ("lock.__exit__", "__del__", "weakref_cb")


class Site(NamedTuple):
    """A call in the code: who makes it, where, and what is called."""

    module: str
    code: CodeType
    instruction: int
    callee: str

    def __str__(self) -> str:
        lines = {start: line for start, _, line in self.code.co_lines()}
        nearest = max((start for start in lines if start <= self.instruction), default=0)
        return f"{Path(self.code.co_filename).name}:{lines.get(nearest)} {self.code.co_name} calls {self.callee}"


class Watch:
    """Traces the calls in the code of a package. `at` gets each call, and may raise instead of it.

    It uses the profiling hook, which is unset by an exception that leaves it: nothing fails twice.
    """

    def __init__(self, package: str, at: Callable[[Site], None]) -> None:
        self._package = package
        self._at = at

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        if event == "c_call":
            caller, callee = frame, getattr(argument, "__qualname__", repr(argument))
        elif event == "call" and frame.f_back is not None:
            caller, callee = frame.f_back, frame.f_code.co_name
        else:
            return
        module: str = caller.f_globals.get("__name__", "")
        if module.partition(".")[0] == self._package and callee not in SPARED:
            self._at(Site(module, caller.f_code, caller.f_lasti, callee))


@contextmanager
def watched(watch: Watch) -> Iterator[None]:
    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        yield
    finally:
        sys.setprofile(before)
