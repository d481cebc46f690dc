"""The code that docs/frameworks.md shows, section by section."""

import re
from pathlib import Path
from typing import Any

PAGE = (Path(__file__).parent.parent / "docs" / "frameworks.md").read_text()
_SECTIONS = dict(re.findall(r"^## (.*?)\n\n?(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
#: The sections that show code.
SECTIONS = {name: text.strip() for name, text in _SECTIONS.items() if "```python" in text}

#: A section that the tests with a browser run, too.
VENDORS = "Packages of vendors"


def run(section: str, **names: Any) -> dict[str, Any]:
    """Run the code of a section with these names. Return the names that it defines."""
    given = {"__name__": "code_of_the_docs", **names}  # Some packages install a folder `docs`.
    for code in re.findall(r"```python\n(.*?)```", SECTIONS[section], re.DOTALL):
        exec(compile(code, section, "exec"), given)
    return given
