"""What the plugin for pytest imports, as an installed package brings it. `tests/docs/test_everyday.py` uses its
fixtures."""

from pathlib import Path

import pytest
from installed import install, run_pytest

import hmac_guard.pytest_plugin


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    return install(tmp_path / "installed")


def test_nothing_of_the_package_is_imported_until_a_fixture_is_used(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "test_user.py").write_text(
        "import sys\n\n\ndef test_modules():\n"
        "    assert {name for name in sys.modules if name.startswith('hmac_guard')} == "
        "{'hmac_guard', 'hmac_guard.pytest_plugin'}\n"
    )

    assert "1 passed" in run_pytest(tmp_path, installed, "test_user.py")


def test_the_plugin_has_three_fixtures_and_no_hooks() -> None:
    # pytest itself adds names such as "@pytest_ar" to the modules of a distribution with a plugin.
    names = {name for name in vars(hmac_guard.pytest_plugin) if name.isidentifier() and not name.startswith("_")}

    assert names == {"TYPE_CHECKING", "pytest", "signed_client", "sign_request", "guard_clock"}
