"""Sets the C library's memory allocator. Separate because only here it is called behind Python's back."""

import ctypes

M_ARENA_MAX = -8
"""As glibc's malloc.h numbers it."""


def use_one_arena() -> bool:
    """Let all threads share one heap; False where the C library has no such switch (musl, macOS).

    glibc gives threads heaps of their own, and gRPC's hand what they read to the main one: each heap keeps holes that
    the others need. Ours are few threads that seldom allocate at once. To be called before any thread is started.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(M_ARENA_MAX, 1))
