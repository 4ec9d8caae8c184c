"""A stream of the delta variant, which most tests of the protocol talk to; those of the other make their own."""

import pytest

from tests.unit.ads.talk import DeltaTalk


@pytest.fixture
def talk() -> DeltaTalk:
    return DeltaTalk()
