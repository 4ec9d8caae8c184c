import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.certmgr.folder import LEDGER_FILE, FolderLedger
from services.certmgr.ledger import BadLedger
from services.certmgr.rotation import merged, out_of_use, raised

END_S = 1_000_000


@given(
    recorded=st.none() | st.integers(0, 2 * END_S),
    not_after_s=st.integers(1, END_S),
    lifetime_s=st.integers(1, END_S),
)
def test_what_is_recorded_always_covers_what_is_granted(recorded, not_after_s, lifetime_s):
    granted = {} if recorded is None else {"root": recorded}
    more = raised(granted, "root", not_after_s=not_after_s, lifetime_s=lifetime_s, issuer_end_s=END_S)
    after = granted.get("root", 0) if more is None else more
    assert after >= not_after_s
    if more is not None:
        assert granted.get("root", 0) < more <= END_S


def test_a_burst_of_signatures_is_recorded_once():
    granted = {}
    writes = 0
    for second in range(3600):
        more = raised(granted, "root", not_after_s=86_400 + second, lifetime_s=86_400, issuer_end_s=END_S)
        if more is not None:
            granted["root"] = more
            writes += 1
    assert writes == 1


@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.integers(0, 100)), max_size=4))
def test_merging_forgets_nobodys_grants(ledgers):
    together = merged(*ledgers)
    assert list(together) == sorted(together)
    assert all(together[issuer] >= until for ledger in ledgers for issuer, until in ledger.items())


def test_a_root_is_out_of_use_once_all_it_granted_has_ended():
    assert not out_of_use({"old": 100}, "old", 100)
    assert out_of_use({"old": 100}, "old", 101)
    assert out_of_use({}, "never signed", 1)


async def test_the_record_is_kept_across_restarts(tmp_path):
    await FolderLedger(tmp_path).record("root", 100)
    assert FolderLedger(tmp_path).granted == {"root": 100}


async def test_the_record_is_never_lowered(tmp_path):
    ledger = FolderLedger(tmp_path)
    await ledger.record("root", 100)
    await ledger.record("root", 50)
    assert FolderLedger(tmp_path).granted == ledger.granted == {"root": 100}


async def test_two_certmgrs_of_one_folder_keep_each_others_record(tmp_path):
    one, other = FolderLedger(tmp_path), FolderLedger(tmp_path)
    await asyncio.gather(*(ledger.record(name, 100) for ledger in (one, other) for name in "abcdefgh"))
    await asyncio.gather(one.record("root", 500), other.record("root", 300))
    assert FolderLedger(tmp_path).granted == dict.fromkeys("abcdefgh", 100) | {"root": 500}


def test_a_record_that_others_may_write_is_not_believed(tmp_path):
    record = tmp_path / LEDGER_FILE
    record.write_text("{}")
    record.chmod(0o666)
    with pytest.raises(BadLedger, match=f"{record}: found mode 0666, allowed is 0600"):
        FolderLedger(tmp_path)


def test_a_damaged_record_is_not_taken_for_an_empty_one(tmp_path):
    (tmp_path / LEDGER_FILE).write_text('{"root": "soon"}')
    (tmp_path / LEDGER_FILE).chmod(0o600)
    with pytest.raises(BadLedger, match=LEDGER_FILE):
        FolderLedger(tmp_path)
