"""Names of a package that are imported when they are first used, because they need an optional library."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any


def load(package: str, name: str, later: Mapping[str, tuple[str, str]]) -> Any:
    """Return what `package` calls `name`; for the package's `__getattr__`.

    Args:
        package: The name of the package.
        name: The name that is asked for.
        later: For each name its module, and what to install with pip for that module; "" for nothing.

    Raises:
        AttributeError: The package has no such name.
        ImportError: The library is not installed. The message says what to install.
    """
    if name not in later:
        raise AttributeError(f"module {package!r} has no attribute {name!r}")
    module, needed = later[name]
    try:
        return getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        if not needed or str(error.name).startswith("hmac_guard"):
            raise
        raise ImportError(f"{name} needs {error.name}: pip install {needed}") from error
