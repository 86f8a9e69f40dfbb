import pytest

pytest_plugins = ["flowcontrol.testing.plugin"]


def pytest_configure(config: pytest.Config) -> None:
    # Those of the repository, for when these tests are run alone.
    for marker in ("slow", "own_database", "every_database", "browser"):
        config.addinivalue_line("markers", f"{marker}: see CONTRIBUTING.md")
