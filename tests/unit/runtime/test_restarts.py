from osm.runtime.restarts import Restarts


def test_pauses_double_up_to_the_longest() -> None:
    restarts = Restarts(first_s=0.5, longest_s=3.0, steady_s=10.0)
    assert [restarts.pause_s(ran_s=0.0) for _ in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]
    assert not restarts.proven


def test_a_steady_run_begins_anew() -> None:
    restarts = Restarts(first_s=0.5, longest_s=3.0, steady_s=10.0)
    pauses = [restarts.pause_s(ran_s) for ran_s in (0.0, 9.9, 10.0, 0.0)]
    assert pauses == [0.5, 1.0, 0.5, 1.0]
    assert restarts.proven
