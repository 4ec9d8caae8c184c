"""The C library's allocator does as it is told, in a process of its own."""

import subprocess
import sys
import xml.etree.ElementTree as Xml

from osm.runtime.allocator import AFTER_S, NO_LATER_S, WORTH_IT, Calm

PROGRAM = """
import ctypes, sys, threading
from osm.runtime.allocator import use_one_arena

told = sys.argv[1] == "told" and use_one_arena()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc_info.argtypes = ctypes.c_void_p, (ctypes.c_int, ctypes.c_void_p)
libc.fdopen.restype, libc.fflush.argtypes = ctypes.c_void_p, (ctypes.c_void_p,)
threads = [threading.Thread(target=libc.malloc, args=(100_000,)) for _ in range(4)]
for each in threads:
    each.start()
for each in threads:
    each.join()
stdout = libc.fdopen(1, b"w")
libc.malloc_info(0, stdout)
libc.fflush(stdout)
"""


def arenas(told: str) -> int:
    done = subprocess.run([sys.executable, "-c", PROGRAM, told], capture_output=True, check=True)
    return len(Xml.fromstring(done.stdout).findall("heap"))


def test_threads_share_one_heap_once_it_is_told() -> None:
    assert arenas("told") == 1
    assert arenas("not told") > 1, "else there was nothing to tell"


HOLES = """
import ctypes
from osm.runtime.allocator import give_back, use_one_arena

use_one_arena()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, (ctypes.c_void_p,)


def resident_kb():
    with open("/proc/self/status") as told:
        return next(int(line.split()[1]) for line in told if line.startswith("VmRSS"))


held = [libc.malloc(50_000) for _ in range(1000)]
for each in held:
    ctypes.memset(each, 1, 50_000)
for each in held[:-1]:  # the last keeps the heap's end where it is
    libc.free(each)
before = resident_kb()
assert give_back()
print(before - resident_kb())
"""


def test_holes_below_the_end_of_the_heap_are_given_back() -> None:
    done = subprocess.run([sys.executable, "-c", HOLES], capture_output=True, check=True, text=True)
    assert int(done.stdout) > 40_000  # of 49 MB


def test_memory_is_given_back_several_times_after_a_storm_and_not_in_it() -> None:
    calm = Calm()
    assert not calm.look(WORTH_IT, 0.0, busy=False)
    assert not calm.look(2 * WORTH_IT, 0.9, busy=False)
    assert not calm.look(2 * WORTH_IT, 1.8, busy=False)
    assert not calm.look(2 * WORTH_IT, 2.0, busy=True)
    looks = [0.9 + tenths / 10 for tenths in range(12, 10_000)]
    assert sum(calm.look(2 * WORTH_IT, now, busy=False) for now in looks) == len(AFTER_S)


def test_a_mesh_that_never_rests_puts_it_off_for_a_moment_alone() -> None:
    calm = Calm()
    calm.look(2 * WORTH_IT, 0.0, busy=True)
    given_back = [tenths / 10 for tenths in range(2_000) if calm.look(2 * WORTH_IT, tenths / 10, busy=True)]
    assert given_back == [after_s + NO_LATER_S for after_s in AFTER_S]


def test_a_few_that_come_and_go_leave_nothing_to_give_back() -> None:
    calm = Calm()
    assert not any(calm.look(WORTH_IT - 1, float(now), busy=False) for now in range(1000))
