import nats.errors
import pytest

from osm.bus import BusError
from osm.bus.nats_fence import Fence
from osm.bus.nats_keys import Keys


class Refusing:
    """A link whose client takes no such subject."""

    name = "catalog"
    keys = Keys()

    async def request(self, subject, body, headers, timeout_s):
        raise nats.errors.BadSubjectError


async def test_a_key_that_can_be_no_subject_is_refused_and_not_tried_for_ever():
    with pytest.raises(BusError, match=r"bucket catalog: 'policy.shop.a b' can be no key"):
        await Fence(Refusing(), "catalog").write([("policy.shop.a b", b"{}")])
