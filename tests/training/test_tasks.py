from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from semsearch.errors import DataError
from semsearch.training.settings import Settings
from semsearch.training.tasks import Task, main_task, named, other_task
from semsearch.training.teacher import Targets
from tests.training.made import made_examples


def test_another_task_has_the_batches_of_its_paper() -> None:
    assert other_task("regression", made_examples("scored", 40)).batch_size == 16
    assert other_task("supervised-simcse", made_examples("triplets", 600)).batch_size == 512


def test_a_batch_has_one_example_of_a_group_where_they_are_negatives() -> None:
    grouped = replace(made_examples("triplets", 60), groups=np.arange(60) // 3)
    assert other_task("supervised-simcse", grouped).batch_size == 20
    assert other_task("triplet", grouped).batch_size == 16
    settings = Settings("supervised-simcse", "x", batch_size=30)
    with pytest.raises(DataError, match="60 triplets of 20 groups do not fill a batch of 30"):
        main_task(settings, grouped).check()
    main_task(replace(settings, objective="triplet"), grouped).check()


def test_a_task_in_tokens_has_no_number_of_examples() -> None:
    targets = Targets(np.zeros((1, 8), np.float32), np.zeros(5, np.int64))
    task = main_task(
        Settings("distil", "x", batch_tokens=64), made_examples("sentences", 5), targets
    )
    assert (task.batch_size, task.batch_tokens) == (None, 64)
    task.check()


def test_tasks_of_one_objective_have_names_of_their_own() -> None:
    scored = made_examples("scored", 4)
    tasks = [Task(name, scored, 2) for name in ("cosent", "regression", "cosent", "cosent")]  # type: ignore[arg-type]
    assert list(named(tasks)) == ["cosent", "regression", "cosent 2", "cosent 3"]


@pytest.mark.parametrize(
    ("objective", "shape", "message"),
    [
        ("regression", "pairs", "learns from scored, not from pairs"),
        ("contrastive", "sentences", "learns from pairs or triplets, not from sentences"),
        ("distil", "sentences", "go with the objective distil"),
    ],
)
def test_examples_that_do_not_fit_are_refused(objective: str, shape: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Task(objective, made_examples(shape, 20), 4).check()  # type: ignore[arg-type]
