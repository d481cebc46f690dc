"""Where the templates are, and how they are read."""

from jinja2 import Environment, PackageLoader, StrictUndefined

# No HTML is made here: each language has its own escapes, applied before a template sees a text.
templates = Environment(
    loader=PackageLoader("hmac_guard.snippets"),
    autoescape=False,  # noqa: S701
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
