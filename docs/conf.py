"""The documentation site: `make docs`."""

import inspect
import re
from pathlib import Path
from types import BuiltinFunctionType
from typing import TYPE_CHECKING, Any

from pygments.lexers import PostgresLexer

if TYPE_CHECKING:
    from sphinx.application import Sphinx

HERE = Path(__file__).parent
_PYPROJECT = (HERE.parent / "pyproject.toml").read_text()

project = "hmac_guard"
author = "The hmac_guard developers"
project_copyright = author
[version] = re.findall(r'^version = "(.+)"$', _PYPROJECT, re.MULTILINE)
release = version

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
html_theme = "furo"
html_title = f"hmac_guard {version}"
html_copy_source = False
html_show_sourcelink = False
myst_heading_anchors = 3
# The pages for customers have the languages at the level that docsify's tabs need.
suppress_warnings = ["myst.header"]
default_role = "code"  # What a docstring has in backticks is code.
napoleon_use_ivar = True
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_member_order = "bysource"


def sign_classes(app: "Sphinx", what: str, name: str, thing: Any, options: Any, signature: str, returned: str) -> Any:
    """Show the arguments of `__init__`, where a class has a `__new__` that only reports unknown arguments."""
    if what != "class" or signature != "(*given, **options)":
        return None
    found = inspect.signature(thing.__init__)
    shown = [each.replace(annotation=each.empty) for each in found.parameters.values() if each.name != "self"]
    # A default that is a function would be shown with its address.
    shown = [each.replace(default=Shown(_named(each.default))) if _named(each.default) else each for each in shown]
    return str(inspect.Signature(shown)), ""


def _named(default: Any) -> str:
    return f"{default.__module__}.{default.__name__}" if isinstance(default, BuiltinFunctionType) else ""


def show_operations() -> None:
    """Make methods of the operations of `SqlKeys` and `VerdictCounts`; they get their connection by themselves."""
    from hmac_guard.keys.sql.ledger import VerdictLedger
    from hmac_guard.keys.sql.operations import KeyOperations
    from hmac_guard.keys.sql.transaction import operation

    for kind in (KeyOperations, VerdictLedger):
        for name, made in list(vars(kind).items()):
            if isinstance(made, operation):
                method = made._work
                found = inspect.signature(method)
                kept = [each for each in found.parameters.values() if each.name != "connection"]
                method.__signature__ = found.replace(parameters=kept)
                method.__annotations__.pop("connection", None)
                setattr(kind, name, method)


class Shown(str):
    """A default that is shown as it is written."""

    def __repr__(self) -> str:
        return str(self)


def write_pages_as_text(app: "Sphinx", failure: Exception | None) -> None:
    """Put each page beside its HTML as Markdown, and `llms.txt`, which lists them (https://llmstxt.org)."""
    if failure is not None or app.builder.format != "html":
        return
    out, listed = Path(app.outdir), []
    for page in sorted(HERE.rglob("*.md")):
        name, text = page.relative_to(HERE).as_posix(), page.read_text()
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text(_with_docstrings(app, name) if "{eval-rst}" in text else text)
        title = next(line for line in text.splitlines() if line.startswith("# ")).removeprefix("# ")
        listed.append(f"- [{title}]({name})")
    about = "> WSGI and ASGI middleware that verifies the signature of the ids in a request."
    (out / "llms.txt").write_text("\n".join(["# hmac_guard", "", about, "", "## Pages", "", *listed, ""]))


def _with_docstrings(app: "Sphinx", name: str) -> str:
    """Return a page of the API reference as text. Its source only names what it describes."""
    from docutils.io import StringOutput
    from sphinx.builders.text import TextBuilder
    from sphinx.writers.text import TextWriter

    builder = TextBuilder(app, app.env)
    builder.init()
    writer, document = TextWriter(builder), app.env.get_doctree(name.removesuffix(".md"))
    writer.write(document, StringOutput(encoding="unicode"))
    title, _, _, text = writer.output.split("\n", 3)
    return f"# {title}\n\n{text}"


def setup(app: "Sphinx") -> None:
    show_operations()
    app.add_lexer("sql", PostgresLexer)  # The SQL of the pages is PostgreSQL's.
    app.connect("autodoc-process-signature", sign_classes)
    app.connect("build-finished", write_pages_as_text)
