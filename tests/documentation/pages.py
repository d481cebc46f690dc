"""The pages with code blocks, and the tests that run the blocks of each page."""

import re
import shlex

from documented import ROOT, Block, all_blocks, blocks

PAGES = sorted(
    ["README.md", "CONTRIBUTING.md", "SECURITY.md"]
    + [path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")]
)
#: The files of tests that take the code of a page's blocks.
TESTS = {
    "README.md": ("docs/test_readme.py",),
    "docs/commands.md": ("docs/test_commands.py",),
    "docs/console.md": ("unit/console/test_mounts.py", "unit/console/test_standalone.py"),
    "docs/frameworks.md": ("docs/test_frameworks.py",),
    "docs/frameworks/django.md": ("docs/test_frameworks.py",),
    "docs/frameworks/fastapi.md": ("docs/test_frameworks.py",),
    "docs/frameworks/flask.md": ("docs/test_frameworks.py",),
    "docs/frameworks/litestar.md": ("docs/test_frameworks.py",),
    "docs/frameworks/quart.md": ("docs/test_frameworks.py",),
    "docs/frameworks/starlette.md": ("docs/test_frameworks.py",),
    "docs/guard.md": ("docs/test_guard.py",),
    "docs/keys.md": ("docs/test_keys.py",),
    "docs/observing.md": ("docs/test_everyday.py",),
    "docs/rolling-out.md": ("docs/test_everyday.py",),
    "docs/signing-clients.md": ("docs/test_everyday.py",),
    "docs/signing-for-your-page.md": ("docs/test_everyday.py",),
    "docs/testing.md": ("docs/test_everyday.py",),
    "docs/troubleshooting.md": ("docs/test_everyday.py",),
    "docs/webhooks.md": ("docs/test_webhooks.py",),
}
#: The blocks that another suite runs: by page, and by language where it is not the whole page.
ELSEWHERE = {
    (
        "docs/signing/nango.md",
        "",
    ): "`make test-languages` runs this code; tests/unit/snippets/test_snippets.py compares it with the page",
    (
        "docs/signing/suprsend.md",
        "",
    ): "`make test-languages` runs this code; tests/unit/snippets/test_snippets.py compares it with the page",
    ("docs/tutorial.md", ""): "tests/docs/test_tutorial.py reads the page and does what it says",
    (
        "docs/deployment.md",
        "",
    ): "tests/docs/test_deployment.py runs it; test_manifests.py checks what it cannot run here",
    ("docs/signing-for-your-page.md", "javascript"): "`make test-browser` runs it in a page",
}
#: The blocks that no test can run, by their first line. The page has the same reason above the block.
NOT_RUN = {
    ("CONTRIBUTING.md", "$ make demo     # three guarded applications on real servers"): "it runs the tests",
}
#: The pages whose blocks are parts of the reader's application: they use its names. Only the tests above run them.
PARTS = {
    "docs/console.md": "`app`, `keys` and the user who is logged in",
    "docs/keys.md": "the settings, and the address of the database",
}


def runnable(page: str) -> list[Block]:
    """Return the blocks that the tests of a page run."""
    return [
        block
        for block in all_blocks(page)
        if not block.language.startswith("{")  # a directive of Sphinx; `make docs` checks it
        and block.mark is None
        and not {(page, ""), (page, block.language)} & ELSEWHERE.keys()
    ]


def installs(page: str) -> list[str]:
    """Return what the commands `pip install` of a page install."""
    lines = [line for console in blocks(page, "console") for line in console.text.splitlines()]
    return [word for line in lines if line.startswith("$ pip install ") for word in shlex.split(line)[3:]]


def only_prepares(block: Block) -> bool:
    """Return whether the block only installs packages and sets variables: `make test-docs` does this for its page."""
    commands = [line for line in block.text.splitlines() if line.startswith("$ ")]
    return block.language == "console" and all(line.startswith(("$ pip install ", "$ export ")) for line in commands)


def folders(page: str) -> list[str]:
    """Return the folders that the commands of a page make."""
    return [
        found
        for console in blocks(page, "console")
        for found in re.findall(r"^\$ mkdir (\S+)$", console.text, re.MULTILINE)
    ]


def exports(page: str) -> dict[str, str]:
    """Return the variables that the commands of a page set."""
    return {
        name: value
        for console in blocks(page, "console")
        for name, value in re.findall(r"^\$ export (\w+)=(\S+)$", console.text, re.MULTILINE)
    }
