"""Mean IoU where a small fault would go unnoticed: several processes, ignored labels, the table."""

import numpy as np
import pytest
from mmengine.logging import MMLogger

from rapidnet_mm.engine.metrics import semantic
from tests.engine.metrics.test_semantic import (
    CLASSES,
    IGNORED,
    expected,
    make_images,
    metric,
    sample,
)


@pytest.mark.parametrize('count', [6, 7])
@pytest.mark.parametrize('processes', [2, 3, 4])
def test_processes_add_up_their_matrices_without_the_repeated_image(processes, count, monkeypatch):
    images, matrices = make_images(count), []
    share = -(-count // processes)  # the sampler begins again until each has as many
    for rank in range(processes):
        monkeypatch.setattr(semantic, 'get_dist_info', lambda rank=rank: (rank, processes))
        monkeypatch.setattr(semantic, 'all_reduce', lambda matrix: matrices.append(matrix.clone()))
        ours = metric()
        for index in range(rank, share * processes, processes):
            ours.process(None, [sample(*images[index % count])])
        if rank == processes - 1:  # the last to come gets what the others have counted
            monkeypatch.setattr(semantic, 'all_reduce', lambda matrix: matrix.add_(sum(matrices)))
        numbers = ours.evaluate(count)
    assert numbers == pytest.approx(expected(images)[0], abs=1e-14)


def test_another_label_can_be_the_ignored_one():
    truth, found = make_images(1)[0]
    usual, other = metric(), metric(ignore_index=77)
    usual.process(None, [sample(truth, found)])
    other.process(None, [sample(np.where(truth == IGNORED, 77, truth), found)])
    assert other.evaluate(1) == usual.evaluate(1)


def test_the_table_names_every_class_and_marks_the_absent_one(monkeypatch):
    lines = []
    monkeypatch.setattr(MMLogger, 'info', lambda _, line, *__: lines.append(line))
    images = make_images()
    ours = metric()
    ours.process(None, [sample(*pair) for pair in images])
    numbers = ours.evaluate(len(images))
    tables = [line for line in '\n'.join(lines).splitlines() if line.startswith('|')]
    rows = [[cell.strip() for cell in line.strip('| ').split('|')] for line in tables]
    for name, *values in zip(CLASSES, *expected(images)[1:], strict=True):
        assert [name, *('-' if np.isnan(v) else f'{v:.4f}' for v in values)] in rows
    assert ['class', 'IoU', 'Acc'] in rows
    assert list(numbers) in rows
    assert [f'{v:.4f}' for v in numbers.values()] in rows
