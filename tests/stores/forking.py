"""What every store that holds connections owes a process that forks."""

from __future__ import annotations

import os

from agentprod.stores import Store


def check_forked_child(store: Store) -> None:
    """Let a child write, and find that it did, and that the parent goes on."""
    store.set("parent", b"1")
    child = os.fork()
    if child == 0:
        try:
            store.set("child", b"2")
            store.close()
            os._exit(0)
        except BaseException:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    entry = store.get("child")
    assert entry is not None
    assert entry.value == b"2"
    store.set("parent", b"3")
