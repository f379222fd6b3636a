"""The tasks: complete records, chosen by name and group."""

from __future__ import annotations

import re

import pytest

from semsearch.errors import DataError
from semsearch.evaluation.tasks import GROUPS, TASKS, choose


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)
def test_a_task_says_where_it_comes_from(task) -> None:
    assert task.source and task.citation and task.licence and task.files
    assert task.score_range[0] < task.score_range[1]
    family = f"sts_{task.language}"
    assert all(re.fullmatch(rf"{family}/\w+/(train|dev|test)", file) for file in task.files)
    if task.hub is not None:
        assert re.fullmatch(r"[0-9a-f]{40}", task.hub.revision)
        assert task.hub.split == ("validation" if task.name.endswith("-dev") else "test")


def test_groups_hold_the_tasks_that_papers_average() -> None:
    assert GROUPS["en"] == ("STS12", "STS13", "STS14", "STS15", "STS16", "STS-B", "SICK-R")
    assert GROUPS["all"] == GROUPS["en"] + GROUPS["zh"]
    assert all(TASKS[name].language == group for group in ("en", "zh") for name in GROUPS[group])


def test_names_are_chosen_in_order_and_once_whatever_their_case_and_punctuation() -> None:
    chosen = choose("stsb, Sick_R,en")
    assert [item.task.name for item in chosen][:3] == ["STS-B", "SICK-R", "STS12"]
    assert len(chosen) == 7
    assert {item.task.name for item in chosen if item.by_name} == {"STS-B", "SICK-R"}
    assert [item.task.name for item in choose(["zh"])] == list(GROUPS["zh"])


def test_an_unknown_name_is_an_error_with_a_suggestion() -> None:
    with pytest.raises(DataError, match=r"'LCQMD'\. Did you mean LCQMC"):
        choose("LCQMD")
    with pytest.raises(DataError, match="no task is named"):
        choose(" , ")
