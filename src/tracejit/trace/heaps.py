"""``heapq`` on lists of the compiled function: every function here is traced, line by line, as the user's own are."""

from __future__ import annotations

from typing import Any

from tracejit.trace.list_items import comes_before

__all__ = ["heapify", "pop", "push", "push_pop", "replace"]


def push(heap: Any, item: Any) -> None:
    """``heapq.heappush``."""
    heap.append(item)
    _to_the_root(heap, 0, len(heap) - 1)


def pop(heap: Any) -> Any:
    """``heapq.heappop``."""
    smallest = heap.pop()
    if len(heap) > 0:
        last = smallest
        smallest = heap[0]
        heap[0] = last
        _to_a_leaf(heap, 0)
    return smallest


def replace(heap: Any, item: Any) -> Any:
    """``heapq.heapreplace``."""
    smallest = heap[0]
    heap[0] = item
    _to_a_leaf(heap, 0)
    return smallest


def push_pop(heap: Any, item: Any) -> Any:
    """``heapq.heappushpop``."""
    smallest = item
    if len(heap) > 0 and comes_before(heap[0], item):
        smallest = heap[0]
        heap[0] = item
        _to_a_leaf(heap, 0)
    return smallest


def heapify(heap: Any) -> None:
    """``heapq.heapify``."""
    for place in reversed(range(len(heap) // 2)):
        _to_a_leaf(heap, place)


def _to_the_root(heap: Any, start: Any, place: Any) -> None:
    """An item moves towards the root, past those that are larger."""
    item = heap[place]
    while place > start:
        parent = (place - 1) >> 1
        above = heap[parent]
        if not comes_before(item, above):
            break
        heap[place] = above
        place = parent
    heap[place] = item


def _to_a_leaf(heap: Any, place: Any) -> None:
    """The smaller children move up until a leaf is free; the item goes there, and up again to its place."""
    end = len(heap)
    start = place
    item = heap[place]
    child = 2 * place + 1
    while child < end:
        right = child + 1
        if right < end and not comes_before(heap[child], heap[right]):
            child = right
        heap[place] = heap[child]
        place = child
        child = 2 * place + 1
    heap[place] = item
    _to_the_root(heap, start, place)
