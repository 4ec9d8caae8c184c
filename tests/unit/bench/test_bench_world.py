from bench.timed_engine import WatchedEngine
from bench.world import World, target_key
from osm.contracts.endpoints import ServiceEndpoints, Workload
from osm.contracts.policy import TrafficTarget

WORLD = World(streams=40, services=10, endpoints_each=3, identities=4)


def test_every_service_has_its_endpoints_under_its_own_identity() -> None:
    services = [one for one in WORLD.endpoints().values() if isinstance(one, ServiceEndpoints)]
    assert len(services) == 10
    assert all(len(one.endpoints) == 3 for one in services)
    assert all({e.identity for e in one.endpoints} == set(one.service.accounts) for one in services)


def test_proxies_of_one_identity_differ_in_nothing_but_their_name() -> None:
    workloads = [one for one in WORLD.endpoints().values() if isinstance(one, Workload)]
    assert len({one.proxy_id for one in workloads}) == 40
    assert len({(one.identity, one.backs, one.interception) for one in workloads}) == 4


def test_everybody_may_call_everybody() -> None:
    targets = [one for one in WORLD.policies().values() if isinstance(one, TrafficTarget)]
    everybody = {WORLD.identity(number) for number in range(4)}
    assert {one.destination for one in targets} == everybody
    assert all(set(one.sources) == everybody for one in targets)


def test_a_move_changes_one_address_and_each_move_another() -> None:
    before, after, later = (WORLD.service(0, moved=moved) for moved in (0, 1, 2))
    assert len(set(before.endpoints) & set(after.endpoints)) == 2
    assert after.endpoints != later.endpoints


def test_an_edit_without_meaning_changes_order_and_nothing_else() -> None:
    plain, backwards = WORLD.service(0, moved=3), WORLD.service(0, moved=3, backwards=True)
    assert plain.endpoints != backwards.endpoints
    assert set(plain.endpoints) == set(backwards.endpoints)
    assert WORLD.target(0).sources == tuple(reversed(WORLD.target(0, backwards=True).sources))


def test_a_target_lies_under_the_key_that_edits_write() -> None:
    assert WORLD.policies()[target_key(2)] == WORLD.target(2)


async def test_a_batch_that_touches_nobody_is_answered_at_once() -> None:
    engine = WatchedEngine()
    reached = engine.next_batch()
    reached.send(None)
    engine.advance(1)
    try:
        reached.send(None)
    except StopIteration:
        assert engine.batch == 1
    else:
        raise AssertionError("still waits for a batch that nobody has to answer")
