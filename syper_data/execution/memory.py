"""Keep freed memory in the process instead of handing every large tensor back to the kernel.

With glibc's defaults each activation map above 128 KiB (later 32 MiB) is a fresh mapping whose
pages are zeroed by the kernel on first touch. Measured on 2 cores: a float32 forward pass of the
bundled generator at batch 32 runs 1.9 times as fast, a bf16 training step 1.2 times.
"""

from __future__ import annotations

import ctypes

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -2, -4, -8


def keep_freed_memory() -> bool:
    """Tell glibc to allocate from its heap and never trim it; False where libc has no ``mallopt``."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    done = [
        mallopt(_M_ARENA_MAX, 1),
        mallopt(_M_MMAP_MAX, 0),
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1),
        mallopt(_M_TOP_PAD, 64 << 20),
    ]
    return all(done)
