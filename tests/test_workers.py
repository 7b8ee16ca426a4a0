import os
import signal
import time
from functools import cached_property

import pytest

from mrharm.workers import WorkerDiedError, map_items


def add_hundred(item: int) -> int:
    if item == 13:
        os.kill(os.getpid(), signal.SIGKILL)
    if item == 7:
        raise ValueError("seven")
    return 100 + item


def process_id(item: int) -> int:
    time.sleep(0.01)
    return os.getpid()


class Loader:
    """Stands for a callable that loads a model at its first call."""

    @cached_property
    def loaded(self) -> tuple[int, float]:
        return os.getpid(), time.monotonic()

    def __call__(self, item: int) -> tuple[int, float]:
        time.sleep(0.01)
        return self.loaded


@pytest.mark.parametrize("workers", [1, 2])
def test_every_item_comes_back_once_with_its_result_or_its_error(workers: int) -> None:
    items = list(range(12))
    results = dict(map_items(add_hundred, items, workers))
    assert sorted(results) == items
    assert isinstance(results.pop(7), ValueError)
    assert results == {item: 100 + item for item in items if item != 7}


def test_an_item_that_kills_its_process_is_the_only_one_that_fails() -> None:
    results = dict(map_items(add_hundred, list(range(30)), 2))
    assert sorted(results) == list(range(30))
    assert [item for item, result in results.items() if isinstance(result, WorkerDiedError)] == [13]
    assert results[29] == 129


def test_one_worker_is_this_process_and_more_are_others() -> None:
    assert list(map_items(process_id, [1], 1)) == [(1, os.getpid())]
    assert os.getpid() not in dict(map_items(process_id, list(range(20)), 2)).values()


def test_what_a_callable_loads_is_loaded_once_a_process() -> None:
    loaded = {result for _, result in map_items(Loader(), list(range(20)), 2)}
    assert len(loaded) == len({pid for pid, _ in loaded}) <= 2  # type: ignore[misc]


def test_no_items_start_no_process() -> None:
    assert list(map_items(add_hundred, [], 2)) == []
