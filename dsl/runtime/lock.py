"""The one lock under which code is made: LLVM's parts are shared, and so is what has been compiled before.

A process that is forked holds it for the moment, so that the child does not wait for a thread that it has not got.
"""

from __future__ import annotations

import os
import threading

LOCK = threading.RLock()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=LOCK.acquire, after_in_parent=LOCK.release, after_in_child=LOCK.release)
