"""Chinese characters that carry little meaning."""

from __future__ import annotations

__all__ = ["STOP_CHARS"]

STOP_CHARS = frozenset("的了吗呢吧啊呀哦嘛么着过地得之就也都还很又请帮们这那个啦哈所与和及或")
