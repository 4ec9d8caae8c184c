import pytest

from osm.ads.encoding import varint
from osm.ads.nack_culprit import culprits

CLUSTERS = "Error adding/updating cluster(s) bookstore/web|80: no such thing, egress: bad, worse."


@pytest.mark.parametrize(
    ("detail", "suspects", "guilty"),
    [
        (CLUSTERS, {"bookstore/web|80", "bookstore/web", "web", "other"}, {"bookstore/web|80"}),
        (CLUSTERS, {"egress", "gress"}, {"egress"}),
        (CLUSTERS, {"worse"}, {"worse"}),
        ("listener 'in.8080' failed", {"in", "in.8080", "8080"}, {"in.8080"}),
        ("", {"a"}, set()),
        ("a", {""}, set()),
        ("regex *( in a+b is wrong", {"a+b", "*("}, {"a+b", "*("}),
        ("a|80: bad, a|8...(truncated)", {"a|80", "a|8"}, {"a|80"}),
    ],
)
def test_names_are_found_as_whole_words(detail, suspects, guilty):
    assert culprits(detail, suspects) == guilty


@pytest.mark.parametrize(("number", "encoded"), [(0, "00"), (127, "7f"), (128, "8001"), (300, "ac02")])
def test_varints_are_encoded_as_protobuf_does(number, encoded):
    assert varint(number).hex() == encoded
