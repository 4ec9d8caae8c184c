"""A load assignment's name says all that is needed to build it anew: an older cluster may outlive its key."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osm.contracts.names import Identity, ServiceName
from services.xds.translate import ALL, AssignmentKey

labels = st.from_regex(r"[a-z]([-a-z0-9]{0,8}[a-z0-9])?", fullmatch=True)
names = st.from_regex(r"[a-z]([-.a-z0-9]{0,8}[a-z0-9])?", fullmatch=True)
accounts = st.lists(st.builds(Identity, labels, names), min_size=1, max_size=3, unique=True).map(
    lambda found: tuple(sorted(found))
)


@given(st.builds(ServiceName, labels, labels), st.integers(1, 65535), st.one_of(accounts, st.just(ALL)))
def test_a_key_is_read_back_from_its_name(service, port, whose):
    key = AssignmentKey(service=service, port=port, accounts=whose)
    assert AssignmentKey.parse(key.name) == key


def test_another_name_is_refused():
    with pytest.raises(ValueError, match="int"):
        AssignmentKey.parse("passthrough-outbound")
