"""The scripts of `hmac-guard completion` complete in real shells."""

import os
import pty
import shutil
import subprocess
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from threading import Thread

import pytest
from installed import environ_of_a_shell
from waiting import TIMEOUT, becomes_true

pytest.importorskip("click", reason="not run: click is not installed")
pytest.importorskip("jinja2", reason="not run: Jinja2 is not installed")

#: What is typed before the tab key, and the line after it.
LINES = {
    "hmac-guard si": "hmac-guard sign ",
    "hmac-guard sign na": "hmac-guard sign nango ",
    "hmac-guard sign stripe t": "hmac-guard sign stripe timestamp=",
    "hmac-guard verify nango connection_id=c ": "hmac-guard verify nango connection_id=c integration_id=",
    "hmac-guard keys read": "hmac-guard keys readiness ",
    "hmac-guard sign nango --key-fi": "hmac-guard sign nango --key-file ",
    "hmac-guard sign nango --key-file inb": "hmac-guard sign nango --key-file inbox.key ",
}
#: The files that make a shell load the script, write its line to a file at Ctrl+X, and say that it is ready.
BASH = r"""
source ./completion.bash
bind -x '"\C-x": printf "%s" "$READLINE_LINE" > next; mv next line'
PS1='ready> '
"""
ZSH = r"""
fpath=("$ZDOTDIR/functions" $fpath)
autoload -U compinit && compinit -u -D
write_line() { print -rn -- "$BUFFER" > next; mv next line }
zle -N write_line
bindkey '^X' write_line
PS1='ready> '
"""


def needs(shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"not run: {shell} is not installed")


@pytest.fixture(scope="module")
def script_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    environ = environ_of_a_shell(tmp_path_factory.mktemp("scripts"))

    @cache
    def script_of(shell: str) -> str:
        command = ["hmac-guard", "completion", shell]
        return subprocess.run(command, env=environ, capture_output=True, text=True, check=True).stdout

    return script_of


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "inbox.key").touch()
    return {**environ_of_a_shell(tmp_path), "HOME": str(tmp_path), "TERM": "xterm", "ZDOTDIR": str(tmp_path)}


def line_after_tab(command: list[str], typed: str, folder: Path, environ: dict[str, str]) -> str:
    """Type a text and the tab key into an interactive shell. Return its line."""
    master, slave = pty.openpty()
    shell = subprocess.Popen(
        command, cwd=folder, env=environ, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
    )
    os.close(slave)
    seen = bytearray()

    def read() -> None:
        with suppress(OSError):  # Linux says so that the other end is closed.
            while piece := os.read(master, 65_536):
                seen.extend(piece)

    reader = Thread(target=read)
    reader.start()
    try:
        assert becomes_true(lambda: b"ready> " in seen), bytes(seen)
        os.write(master, f"{typed}\t\x18".encode())
        assert becomes_true((folder / "line").exists), bytes(seen)
        return (folder / "line").read_text()
    finally:
        shell.kill()
        shell.wait(TIMEOUT)
        reader.join(TIMEOUT)
        os.close(master)


@pytest.mark.parametrize("typed", LINES)
def test_bash_completes_the_line(
    typed: str, tmp_path: Path, environ: dict[str, str], script_of: Callable[[str], str]
) -> None:
    needs("bash")
    (tmp_path / "completion.bash").write_text(script_of("bash"))
    (tmp_path / "bashrc").write_text(BASH)

    assert line_after_tab(["bash", "--rcfile", "bashrc", "-i"], typed, tmp_path, environ) == LINES[typed]


@pytest.mark.parametrize("typed", LINES)
def test_zsh_completes_the_line(
    typed: str, tmp_path: Path, environ: dict[str, str], script_of: Callable[[str], str]
) -> None:
    needs("zsh")
    (tmp_path / "functions").mkdir()
    (tmp_path / "functions" / "_hmac-guard").write_text(script_of("zsh"))
    (tmp_path / ".zshrc").write_text(ZSH)

    assert line_after_tab(["zsh", "-i"], typed, tmp_path, environ) == LINES[typed]


@pytest.mark.parametrize("typed", LINES)
def test_fish_completes_the_last_word(
    typed: str, tmp_path: Path, environ: dict[str, str], script_of: Callable[[str], str]
) -> None:
    needs("fish")
    folder = tmp_path / "fish" / "completions"
    folder.mkdir(parents=True)
    (folder / "hmac-guard.fish").write_text(script_of("fish"))
    done = subprocess.run(
        ["fish", "--command", f"complete --do-complete '{typed}'"],
        cwd=tmp_path,
        env={**environ, "XDG_CONFIG_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stderr == ""
    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == [LINES[typed].split()[-1]]
