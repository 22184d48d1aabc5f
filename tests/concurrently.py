"""Several callers at the same time."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def run_together(work: Callable[[int], T], count: int) -> list[T]:
    """What `work` gives to each of `count` threads, which get their numbers."""
    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(work, range(count)))
