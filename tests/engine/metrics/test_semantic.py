import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from rapidnet_mm import UserError
from rapidnet_mm.engine.metrics import SemanticIoU
from rapidnet_mm.files import write_metrics

CLASSES = ('sky', 'road', 'tree', 'unicorn', 'car')
ABSENT, IGNORED = 3, 255
REPOSITORY = str(Path(__file__).parents[3])
ENV = {**os.environ, 'PYTHONPATH': REPOSITORY, 'OMP_NUM_THREADS': '1'}


def make_images(count=7):
    """Labels and predictions of images of different sizes, with ignored pixels and no unicorns."""
    rng = np.random.default_rng(0)
    images = []
    for index in range(count):
        shape = (int(rng.integers(9, 30)), int(rng.integers(9, 30)))
        # not the same classes in every image, so that a mean of images would be another number
        truth = rng.choice([c for c in range(5) if c != ABSENT and c != index % 4], shape)
        found = np.where(rng.random(shape) < 0.7, truth, rng.choice([0, 1, 2, 4], shape))
        truth[rng.random(shape) < 0.2] = IGNORED
        images.append((truth, found))
    return images


def expected(images):
    """The definition, in numpy and one pixel after the other, over all images."""
    matrix = np.zeros((5, 5), np.int64)
    for truth, found in images:
        for t, f in zip(truth.ravel(), found.ravel(), strict=True):
            if t != IGNORED:
                matrix[t, f] += 1
    hit = np.diag(matrix)
    with np.errstate(invalid='ignore'):
        iou, accuracy = hit / (matrix.sum(0) + matrix.sum(1) - hit), hit / matrix.sum(1)
    numbers = {'mIoU': np.nanmean(iou), 'mAcc': np.nanmean(accuracy)}
    return numbers | {'aAcc': hit.sum() / matrix.sum()}, iou, accuracy


def sample(truth, found):
    return {
        'gt_sem_seg': {'data': torch.from_numpy(truth)[None]},
        'pred_sem_seg': {'data': torch.from_numpy(found)[None]},
    }


def metric(**arguments):
    made = SemanticIoU(**arguments)
    made.dataset_meta = dict(classes=CLASSES)
    return made


def test_numbers_equal_a_confusion_matrix_over_all_images():
    images = make_images()
    ours = metric()
    for batch in (images[:3], images[3:5], images[5:]):
        ours.process(None, [sample(*pair) for pair in batch])
    numbers, iou, accuracy = expected(images)
    assert ours.evaluate(len(images)) == pytest.approx(numbers, abs=1e-14)
    table = ours.details['classes']
    assert list(table) == list(CLASSES)
    np.testing.assert_allclose([row['IoU'] for row in table.values()], iou, rtol=1e-14)
    np.testing.assert_allclose([row['Acc'] for row in table.values()], accuracy, rtol=1e-14)
    # the mean of per-image values is something else, so the test can tell them apart
    assert abs(np.mean([expected([pair])[0]['mIoU'] for pair in images]) - numbers['mIoU']) > 1e-3


def test_a_class_that_never_occurs_is_null_in_json_and_left_out_of_the_means(tmp_path):
    images = make_images()
    ours = metric()
    ours.process(None, [sample(*pair) for pair in images])
    found = ours.evaluate(len(images))
    path = write_metrics({**found, **ours.details}, tmp_path / 'metrics.json')
    content = json.loads(path.read_text(), parse_constant=pytest.fail)
    assert content['classes']['unicorn'] == {'IoU': None, 'Acc': None}
    present = [row['IoU'] for row in content['classes'].values() if row['IoU'] is not None]
    assert len(present) == 4
    assert content['mIoU'] == pytest.approx(np.mean(present), abs=1e-15)


def test_a_class_that_is_only_predicted_has_an_iou_of_zero_and_no_accuracy():
    ours = metric()
    ours.process(None, [sample(np.zeros((2, 4), int), np.array([[0, 0, 0, 4], [0, 0, 0, 4]]))])
    found = ours.evaluate(1)
    assert found == pytest.approx({'mIoU': (0.75 + 0) / 2, 'mAcc': 0.75, 'aAcc': 0.75})
    assert ours.details['classes']['car']['IoU'] == 0
    assert np.isnan(ours.details['classes']['car']['Acc'])


def test_images_without_a_labelled_pixel_leave_nothing_to_measure():
    ours = metric()
    ours.process(None, [sample(np.full((3, 3), IGNORED), np.zeros((3, 3), int))])
    assert all(np.isnan(value) for value in ours.evaluate(1).values())


def test_what_is_kept_does_not_grow_with_the_images_and_starts_anew():
    ours = metric()
    pair = sample(*make_images(1)[0])

    def held():
        return sum(v.numel() for v in vars(ours).values() if isinstance(v, torch.Tensor))

    sizes = []
    for _ in range(50):
        ours.process(None, [pair])
        sizes.append(held() + len(ours.results))
    assert sizes[2] == sizes[-1] == 2 * 25
    first = ours.evaluate(50)
    ours.process(None, [pair])
    assert ours.evaluate(1) == pytest.approx(first)
    assert held() == 0


def test_predictions_without_a_channel_and_names_with_a_prefix_are_fine():
    truth, found = make_images(1)[0]
    merged = {**sample(truth, found), 'pred_sem_seg': {'data': torch.from_numpy(found)}}
    ours = metric(prefix='val')
    ours.process(None, [merged])
    assert set(ours.evaluate(1)) == {'val/mIoU', 'val/mAcc', 'val/aAcc'}


@pytest.mark.parametrize(
    ('truth', 'found', 'message'),
    [
        (np.full((3, 4), 7), np.zeros((3, 4), int), r'labels from 7 to 7; allowed are 0 to 4, and'),
        (np.zeros((3, 4), int), np.full((3, 4), 5), 'the prediction has labels from 5 to 5'),
        (np.zeros((3, 4), int), np.zeros((3, 5), int), 'has 12 pixels, the prediction 15'),
    ],
)
def test_labels_that_cannot_be_counted_are_refused(truth, found, message):
    with pytest.raises(UserError, match=message) as error:
        metric().process(None, [sample(truth, found)])
    assert '\n' not in str(error.value)


def test_images_without_labels_cannot_be_scored():
    unlabelled = {'pred_sem_seg': {'data': torch.zeros(1, 3, 3)}}
    with pytest.raises(UserError, match='needs LoadAnnotations'):
        metric().process(None, [unlabelled])


WORKER = """
import json, sys
import numpy as np, torch
from mmengine.dist import get_dist_info
torch.distributed.init_process_group('gloo')
from mmengine.dataset import DefaultSampler
import rapidnet_mm
from tests.engine.metrics.test_semantic import make_images, metric, sample
images = make_images()
ours = metric()
for index in DefaultSampler(images, shuffle=False):  # seven images: one process sees one again
    ours.process(None, [sample(*images[index])])
numbers = ours.evaluate(len(images))
with open(f'{sys.argv[1]}/{get_dist_info()[0]}.json', 'w') as file:
    json.dump(numbers, file)
torch.distributed.barrier()
torch.distributed.destroy_process_group()  # gloo may abort where a process ends before the others
"""


@pytest.mark.parametrize('processes', [2, 5])
def test_several_processes_give_the_same_numbers_and_count_no_image_twice(processes, tmp_path):
    script = tmp_path / 'worker.py'
    script.write_text(WORKER)
    command = [sys.executable, '-m', 'torch.distributed.run', '--standalone']
    command += [f'--nproc_per_node={processes}', str(script), str(tmp_path)]
    subprocess.run(command, check=True, env=ENV, timeout=300)
    numbers = expected(make_images())[0]
    for rank in range(processes):
        assert json.loads((tmp_path / f'{rank}.json').read_text()) == pytest.approx(numbers)
