"""`desk`: the app with an operator's password, on each kind of database. Named in `pytest_plugins` by the test_desk_ files."""
from collections.abc import Callable

import pytest

from api_kit import Api
from desk_kit import SETTINGS, Desk

pytest_plugins = "api_fixtures"


@pytest.fixture
def desk(make_api: Callable[..., Api]) -> Desk:
    return Desk(make_api(**SETTINGS))
