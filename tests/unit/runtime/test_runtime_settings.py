from typing import Annotated

import pytest
from msgspec import Meta, Struct

from osm.bus.nats_settings import NatsSettings
from osm.runtime.settings import BadSetting, Common, misspelt, read, read_service


class Settings(Common, frozen=True, kw_only=True):
    leaf_lifetime_s: Annotated[int, Meta(ge=1)] = 60
    folders: tuple[str, ...] = ()
    short: bool = False

    def __post_init__(self):
        super().__post_init__()
        if self.leaf_lifetime_s == 13:
            raise ValueError("leaf_lifetime_s: found 13, allowed are lucky numbers")


class Needy(Struct, frozen=True, kw_only=True):
    token: str


def test_defaults_hold_where_nothing_is_set():
    assert read_service(Settings, {}, "certmgr") == Settings()


def test_own_variables_carry_the_services_name_and_common_ones_do_not():
    environment = {"OSM_CERTMGR_LEAF_LIFETIME_S": "90", "OSM_TRUST_DOMAIN": "mesh.example", "OSM_CERTMGR_SHORT": "true"}
    assert read_service(Settings, environment, "certmgr") == Settings(
        leaf_lifetime_s=90, trust_domain="mesh.example", short=True
    )


def test_one_service_may_differ_from_the_common_setting():
    environment = {"OSM_LOG_LEVEL": "info", "OSM_CERTMGR_LOG_LEVEL": "debug"}
    assert read_service(Settings, environment, "certmgr").log_level == "debug"
    assert read_service(Settings, environment, "xds").log_level == "info"


def test_an_own_setting_is_not_read_from_the_common_prefix():
    assert read_service(Settings, {"OSM_LEAF_LIFETIME_S": "90"}, "certmgr").leaf_lifetime_s == 60


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        (
            {"OSM_CERTMGR_LEAF_LIFETIME_S": "soon"},
            "OSM_CERTMGR_LEAF_LIFETIME_S: found 'soon', expected `int`, got `str`",
        ),
        ({"OSM_CERTMGR_LEAF_LIFETIME_S": "0"}, "OSM_CERTMGR_LEAF_LIFETIME_S: found '0', expected `int` >= 1"),
        ({"OSM_CERTMGR_LEAF_LIFETIME_S": "13"}, "OSM_CERTMGR_LEAF_LIFETIME_S: found 13, allowed are lucky numbers"),
        ({"OSM_TRUST_DOMAIN": "a_b"}, "OSM_TRUST_DOMAIN: found 'a_b', allowed are lower-case DNS names without `_`"),
        ({"OSM_TRUST_DOMAIN": "a b"}, "OSM_TRUST_DOMAIN: found 'a b', allowed are lower-case DNS names without `_`"),
        ({"OSM_TRUST_DOMAIN": "a/x"}, "OSM_TRUST_DOMAIN: found 'a/x', allowed are lower-case DNS names without `_`"),
        ({"OSM_TRUST_DOMAIN": "a."}, "OSM_TRUST_DOMAIN: found 'a.', allowed are lower-case DNS names without `_`"),
        ({"OSM_LOG_LEVEL": "loud"}, "OSM_LOG_LEVEL: found 'loud', allowed are debug, info, warning, error"),
    ],
)
def test_a_wrong_value_is_told_by_its_variable(environment, sentence):
    with pytest.raises(BadSetting) as caught:
        read_service(Settings, environment, "certmgr")
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("variable", "found", "allowed"),
    [("LEASE_S", "0", "`float` > 0.0"), ("RECONCILE_S", "nan", "`float` > 0.0"), ("REPLICAS", "7", "`int` <= 5")],
)
def test_no_wait_of_the_bus_is_endless_or_none(variable, found, allowed):
    with pytest.raises(BadSetting, match=f"OSM_NATS_{variable}: found '{found}', expected {allowed}"):
        read(NatsSettings, {f"OSM_NATS_{variable}": found}, "OSM_NATS_")


def test_a_missing_value_is_told_by_its_variable():
    with pytest.raises(BadSetting, match="OSM_X_TOKEN: missing, and there is no default"):
        read(Needy, {}, "OSM_X_")


def test_a_misspelt_variable_is_told_with_the_nearest_setting():
    environment = {
        "OSM_CERTMGR_LEAF_LIFTIME_S": "1",
        "OSM_CERTMGR_PORT": "tcp://10.0.0.1:80",
        "OSM_CERTMGR_SERVICE_HOST": "10.0.0.1",
    }
    assert misspelt(Settings, environment, "certmgr") == (
        "OSM_CERTMGR_LEAF_LIFTIME_S: no such setting, nearest is OSM_CERTMGR_LEAF_LIFETIME_S",
    )
