"""Builds and runs the code of each language: all cases of a scheme in one process, in the C locale."""

import os
import re
import shlex
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from acceptance.languages.cases import Case, Plan

DRIVERS = Path(__file__).parent / "drivers"
TIMEOUT = 300

PSQL = ("psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1")


@dataclass(frozen=True)
class Program:
    """A language whose code is in one folder with a driver, which reads cases and prints signatures.

    `version`    the command that prints its version
    `code`       the file that the snippet goes into
    `driver`     the file of `drivers/` that calls it
    `run`        the command that starts the driver, after those of `build`
    `required`, `optional`  an argument of the call, where the driver cannot spread a list; `{}` is its number
    `files`      what else has to lie there
    `shared`     environment variables that name folders which all schemes use
    """

    version: Sequence[str]
    code: str
    driver: str
    run: Sequence[str]
    build: Sequence[Sequence[str]] = ()
    required: str = "text(fields, {})"
    optional: str = "text(fields, {})"
    files: Mapping[str, str] = field(default_factory=dict)
    shared: Sequence[str] = ()

    def signatures(self, code: str, plan: Plan, cases: Sequence[Case], folder: Path) -> list[str]:
        driver = (DRIVERS / self.driver).read_text().replace("ARGUMENTS", self._arguments(plan))
        for name, text in {self.code: code, self.driver: driver, **self.files}.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text)
        environ = {variable: str(folder.parent / variable) for variable in self.shared}
        for command in self.build:
            call(command, folder, environ=environ)
        lines = [" ".join(text.encode().hex() for text in case.fields) for case in cases]
        return call(self.run, folder, "\n".join(lines) + "\n", environ).splitlines()

    def _arguments(self, plan: Plan) -> str:
        ids = [self.optional if part.name in plan.scheme.optional else self.required for part in plan.scheme.id_fields]
        return ", ".join(form.format(number) for number, form in enumerate([self.required, *ids]))


@dataclass(frozen=True)
class Script:
    """A language whose code and calls are one text: a shell, a database. `call` writes a call
    of it."""

    version: Sequence[str]
    run: Sequence[str]
    call: Callable[[str, Sequence[str]], str]

    def signatures(self, code: str, plan: Plan, cases: Sequence[Case], folder: Path) -> list[str]:
        lines = "\n".join(self.call(code, case.fields) for case in cases)
        return call(self.run, folder, f"{code}\n{lines}\n").splitlines()


Runtime = Program | Script


def call(command: Sequence[str], folder: Path, stdin: str = "", environ: Mapping[str, str] | None = None) -> str:
    """Return the output of a command, stderr included. Raise `AssertionError` or `FileNotFoundError` if it fails."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME") or name.startswith("PG")}
    done = subprocess.run(
        command,
        cwd=folder,
        input=stdin.encode(),
        capture_output=True,
        timeout=TIMEOUT,
        env={**kept, "LC_ALL": "C", **(environ or {})},
        check=False,
    )
    if done.returncode:
        output = (done.stdout + done.stderr).decode(errors="replace")
        raise AssertionError(f"{shlex.join(command)} failed:\n{output[-4000:]}")
    return (done.stdout or done.stderr).decode()


def _sql_call(code: str, fields: Sequence[str]) -> str:
    [function] = re.findall(r"FUNCTION (\w+)", code)
    texts = ", ".join(f"convert_from('\\x{text.encode().hex()}', 'UTF8')" for text in fields)
    return f"SELECT {function}({texts});"


_GO_MOD = "module languages\n\ngo 1.19\n"
CRATES = {"hmac": "0.12", "sha2": "0.10", "hex": "0.4", "data-encoding": "2"}
_DEPENDENCIES = "".join(f'{crate} = "{version}"\n' for crate, version in CRATES.items())
_CARGO_TOML = f"""\
[package]
name = "languages"
version = "0.0.0"
edition = "2021"

[dependencies]
{_DEPENDENCIES}
[[bin]]
name = "main"
path = "main.rs"
"""
# Debian installs crates as sources. cargo uses them instead of the registry.
_DEBIAN_CRATES = Path("/usr/share/cargo/registry")
_CARGO_CONFIG = f"""\
[source.crates-io]
replace-with = "debian"

[source.debian]
directory = "{_DEBIAN_CRATES}"
"""


def missing_crates(folder: Path = _DEBIAN_CRATES) -> list[str]:
    """Return the crates that the Rust code needs and that are not installed."""
    return [crate for crate in CRATES if not any(folder.glob(f"{crate}-[0-9]*"))]


_NODE = Program(
    ("node", "--version"), "signer.js", "main.mjs", ("node", "main.mjs"), files={"package.json": '{"type": "module"}'}
)
_TSC = (
    "tsc",
    "--strict",
    "--skipLibCheck",
    "--target",
    "es2022",
    "--module",
    "es2022",
    "--moduleResolution",
    "node",
    "--types",
    "node",
)

RUNTIMES: Mapping[str, Runtime] = {
    "python": Program(("python3", "--version"), "signer.py", "main.py", ("python3", "main.py")),
    "javascript": _NODE,
    "webcrypto": _NODE,
    "typescript": Program(
        ("tsc", "--version"),
        "signer.ts",
        "main.mjs",
        ("node", "main.mjs"),
        build=[(*_TSC, "--typeRoots", "../types/node_modules/@types", "signer.ts")],
        files=_NODE.files,
    ),
    "java": Program(
        ("javac", "--version"),
        "Signer.java",
        "Main.java",
        ("java", "-cp", ".", "Main"),
        build=[("javac", "-Xlint:all", "-Werror", "Signer.java", "Main.java")],
    ),
    "kotlin": Program(
        ("kotlinc", "-version"),
        "signer.kt",
        "main.kt",
        ("kotlin", "-cp", "built", "MainKt"),
        build=[("kotlinc", "signer.kt", "main.kt", "-d", "built")],
    ),
    "ruby": Program(("ruby", "--version"), "signer.rb", "main.rb", ("ruby", "-w", "main.rb")),
    "go": Program(
        ("go", "version"),
        "signing/signing.go",
        "main.go",
        ("./main",),
        build=[("go", "vet", "./..."), ("go", "build", "-o", "main", ".")],
        files={"go.mod": _GO_MOD},
        shared=("GOCACHE", "GOPATH"),
    ),
    "rust": Program(
        ("cargo", "--version"),
        "signer.rs",
        "main.rs",
        ("cargo", "run", "--quiet", "--offline"),
        build=[("cargo", "build", "--quiet", "--offline")],
        required="&text(&fields, {}).unwrap()",
        optional="text(&fields, {}).as_deref()",
        files={"Cargo.toml": _CARGO_TOML, ".cargo/config.toml": _CARGO_CONFIG},
        shared=("CARGO_TARGET_DIR",),
    ),
    "php": Program(
        ("php", "-r", "echo PHP_VERSION;"), "signer.php", "main.php", ("php", "-d", "display_errors=1", "main.php")
    ),
    "csharp": Program(
        ("mcs", "--version"),
        "Signer.cs",
        "Main.cs",
        ("mono", "main.exe"),
        build=[("mcs", "-warnaserror", "-out:main.exe", "Signer.cs", "Main.cs")],
    ),
    "elixir": Program(("elixir", "--short-version"), "signer.ex", "main.exs", ("elixir", "main.exs")),
    "plpgsql": Script((*PSQL, "-c", "show server_version"), (*PSQL, "-f", "-"), _sql_call),
    "shell": Script(("openssl", "version"), ("sh",), lambda _, fields: f"sign {shlex.join(fields)}"),
}
#: The languages that run in every test run, if they are installed.
QUICK = ("python", "javascript", "webcrypto", "shell")
