"""Installs the vendors' packages from the npm registry and bundles them, as a customer would.

The packages are in a cache folder outside the repository.
"""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

PAGES = Path(__file__).parent / "pages"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"), "hmac-guard-tests", "npm")
PACKAGES = [
    "esbuild@0.28.2",
    "nango-new@npm:@nangohq/frontend@0.71.10",
    "nango-old@npm:@nangohq/frontend@0.36.89",
    "@suprsend/react-headless@1.2.0",
    "react@18.2.0",
    "react-dom@18.2.0",
]
#: The package has the addresses of its servers as constants. The tests replace them.
SUPRSEND_HOSTS = ("https://inboxs.live", "https://hub.suprsend.com")


def install(name: str = "npm", packages: Sequence[str] = PACKAGES) -> Path:
    """Return the folder with the packages. Skip the test if node or the registry is not available."""
    if shutil.which("npm") is None:
        pytest.skip("not run: there is no node and npm")
    folder = CACHE.with_name(name)
    done = folder / "installed"
    if not done.exists() or done.read_text() != "\n".join(packages):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text('{"private": true}')
        command = ["npm", "install", "--no-audit", "--no-fund", "--no-save", "--legacy-peer-deps", *packages]
        if subprocess.run(command, cwd=folder, capture_output=True).returncode:
            pytest.skip("not run: npm could not install the packages")
        done.write_text("\n".join(packages))
    return folder / "node_modules"


def axe() -> str:
    """Return the script of axe-core, which finds what people with disabilities cannot use."""
    return (install("axe", ["axe-core@4.14.1"]) / "axe-core" / "axe.min.js").read_text()


def bundle(page: str, into: Path, **aliases: str) -> None:
    """Bundle a page with the packages that it imports. `aliases` replace some of the packages."""
    modules = install()
    command = [
        str(modules / ".bin" / "esbuild"),
        str(PAGES / page),
        "--bundle",
        f"--outfile={into}",
        "--loader:.js=jsx",
    ]
    command += ['--define:process.env.NODE_ENV="production"', "--define:global=window"]
    command += [f"--alias:{name}={target}" for name, target in aliases.items()]
    done = subprocess.run(command, env={**os.environ, "NODE_PATH": str(modules)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def suprsend_with_host(host: str, folder: Path) -> Path:
    """Return the module of the package with the address of the guarded application."""
    source = (install() / "@suprsend" / "react-headless" / "dist" / "index.modern.js").read_text()
    for constant in SUPRSEND_HOSTS:
        assert source.count(constant) == 1
        source = source.replace(constant, host)
    changed = folder / "react-headless.js"
    changed.write_text(source)
    return changed
