import pytest

from osm.envoy.process import NO_INOTIFY, last_words

ABORTED = (
    "[2026-11-22 23:51:07.090][9][critical][assert] [source/common/filesystem/inotify/watcher_impl.cc:25] "
    "assert failure: inotify_fd_ >= 0. Details: Consider increasing value of fs.inotify.max_user_watches"
)
BAD_PORT = (
    "[2026-11-22 23:51:07.090][9][critical][main] [source/server/server.cc:434] error initializing config: cannot bind"
)


@pytest.mark.parametrize(
    ("log", "why"),
    [
        ("", ""),
        ("[2026-11-22 23:51:07.090][9][warning][main] [source/server/server.cc:1] a warning", ""),
        (f"[x][warning][main] something\n{ABORTED}\n[x][critical][backtrace] [y] z", NO_INOTIFY),
        (BAD_PORT, "error initializing config: cannot bind"),
    ],
)
def test_an_envoys_last_words_are_found_in_its_log(log, why):
    assert last_words(log) == why
