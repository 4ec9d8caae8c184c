"""The C library's allocator does as it is told, in a process of its own."""

import subprocess
import sys
import xml.etree.ElementTree as Xml

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
