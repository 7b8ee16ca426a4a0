import os
import signal
import time
from pathlib import Path

import pytest

from mrharm.evidence.workers import Crashed, Workers


def prepare(offset: int) -> int:
    return offset


def add(offset: int, item: int) -> int:
    if item == 13:
        os.kill(os.getpid(), signal.SIGKILL)
    if item == 7:
        raise ValueError("seven")
    return offset + item


def process(state: None, item: int) -> int:
    time.sleep(0.01)
    return os.getpid()


@pytest.mark.parametrize("count", [1, 2])
def test_every_item_comes_back_once_with_its_result_or_its_error(count: int) -> None:
    items = list(range(12))
    found = dict(Workers(add, prepare, (100,), count).run(items))
    assert sorted(found) == items
    assert isinstance(found.pop(7), ValueError)
    assert found == {item: 100 + item for item in items if item != 7}


def test_an_item_that_kills_its_process_is_the_only_one_that_fails() -> None:
    found = dict(Workers(add, prepare, (0,), 2).run(list(range(30))))
    assert sorted(found) == list(range(30))
    assert [item for item, result in found.items() if isinstance(result, Crashed)] == [13]
    assert found[29] == 29


def test_work_is_done_in_other_processes() -> None:
    there = {pid for _, pid in Workers(process, lambda: None, (), 1).run([1])}
    assert there == {os.getpid()}
    assert os.getpid() not in {pid for _, pid in Workers(process, prepare, (0,), 2).run(list(range(20)))}


def test_no_items_start_no_process(tmp_path: Path) -> None:
    assert list(Workers(add, prepare, (0,), 2).run([])) == []
