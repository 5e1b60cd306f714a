"""Each setting of a recipe follows from numbers of the data and the machine."""

import math

import numpy as np
import pytest

from rapidnet_mm.engine.recipe import choices
from rapidnet_mm.engine.recipe.anchors import best_overlaps, choose_anchors
from rapidnet_mm.engine.recipe.choices import Machine
from rapidnet_mm.engine.recipe.recipe import augmentation
from rapidnet_mm.engine.recipe.statistics import Statistics
from rapidnet_mm.engine.recipe.trial import Attempt

GIB = 2**30
CPU = Machine('cpu', 2, 8 * GIB)
GPU = Machine('cuda', 16, 24 * GIB)
TASKS = ('boxes', 'instance', 'semantic', 'classes')


def statistics(images=200, size=(640, 480), objects=(60, 40), val_images=50):
    boxes = np.tile(np.array(objects, float), (100, 1))
    sizes = np.tile(np.array(size, float), (images, 1))
    return Statistics(images, val_images, sizes, boxes, np.full(100, float(max(size))), (100.0,))


@pytest.mark.parametrize(
    ('size', 'objects', 'machine', 'side'),
    [
        ((256, 192), (40, 40), CPU, 256),  # small images keep their size
        ((640, 480), (20, 20), GPU, 512),  # objects of 20 px become the 16 that are needed
        ((4000, 3000), (1500, 1500), CPU, 320),  # large objects can be seen in small images
        ((4000, 3000), (1500, 1500), GPU, 512),
        ((4000, 3000), (150, 150), GPU, 512),
        ((4000, 3000), (10, 10), GPU, 1344),  # and the smallest ones need all there is
        ((4000, 3000), (10, 10), CPU, 800),
    ],
)
def test_images_are_as_small_as_their_objects_allow(size, objects, machine, side):
    data = statistics(size=size, objects=objects)
    choice = choices.detector_side(data, machine)
    assert choice.value == side
    seen = np.quantile(data.object_sizes(side), 0.1)
    assert ('hard to see' in choice.reason) is bool(seen < choices.SMALL)


def test_sides_of_label_maps_crops_and_classes():
    large, small = statistics(size=(2000, 1500)), statistics(size=(258, 190))
    assert choices.label_side(large, CPU).value == 640
    assert choices.label_side(small, CPU).value == 256
    assert choices.crop_side(large, 640, CPU).value == 320
    assert choices.crop_side(large, 2016, GPU).value == 512
    assert choices.crop_side(small, 256, CPU).value == 160  # inside 256x188
    assert choices.class_side(statistics(size=(59, 70)), GPU).value == 64
    assert choices.class_side(large, GPU).value == 224
    assert choices.class_side(large, CPU).value == 128


@pytest.mark.parametrize('task', TASKS)
@pytest.mark.parametrize('images', [1, 2, 3, 18, 500, 100_000])
@pytest.mark.parametrize('machine', [CPU, GPU])
def test_a_batch_is_never_larger_than_the_data(task, images, machine):
    most = choices.most_images(task, statistics(images=images), machine)
    assert 1 <= most <= images
    assert math.log2(most).is_integer()
    if images == 18:
        assert most == 2
    if images == 100_000:
        assert most == (choices.CPU_BATCHES if machine is CPU else choices.BATCHES)[task]


def test_a_batch_has_to_fit_into_the_memory_that_was_measured():
    attempts = [Attempt(2**n, 2**n * 2 * GIB, 0.1, 0.01) for n in range(1, 4)]  # 4, 8, 16 GiB
    choice = choices.batch_size(attempts, 8, GPU)  # 0.6 of 24 GiB
    assert choice.value == 4
    assert '8.0 of 24.0 GiB' in choice.reason
    assert '8 do not fit' in choice.reason
    assert choices.batch_size(attempts, 8, Machine('cuda', 16, 80 * GIB)).value == 8
    assert choices.batch_size(attempts, 8, Machine('cuda', 16, GIB)).value == 2  # the first


@pytest.mark.parametrize('task', TASKS)
@pytest.mark.parametrize('from_scratch', [True, False])
def test_a_small_set_gets_a_floor_of_iterations(task, from_scratch):
    slow = choices.iterations(task, 18, 2, 10.0, CPU, from_scratch)
    assert slow.value == choices.FLOORS[task] * (1 if from_scratch else 0.6)
    assert 'the data want' in slow.reason


def test_iterations_are_what_the_data_want_within_the_time():
    wanted = choices.iterations_wanted('boxes', 1000, 4, True)
    assert choices.iterations('boxes', 1000, 4, 0.1, GPU, True).value == wanted
    on_cpu = choices.iterations('boxes', 1000, 4, 0.3, CPU, True)
    assert on_cpu.value == 1000  # 5 minutes
    assert choices.iterations('boxes', 1000, 4, 0.3, CPU, True, minutes=10).value == 2000
    minutes = float(on_cpu.reason.rpartition('--minutes ')[2])
    enough = choices.iterations('boxes', 1000, 4, 0.3, CPU, True, minutes)
    assert enough.value == wanted
    assert choices.iterations_wanted('boxes', 1000, 4, False) < wanted


@pytest.mark.parametrize('images', [18, 200, 2000, 118_000])
def test_small_sets_are_seen_more_often_and_none_is_seen_too_long(images):
    passes = choices.passes_wanted(images, from_scratch=False)
    assert 12 <= passes <= 100
    assert passes >= choices.passes_wanted(images * 2, from_scratch=False)
    assert choices.iterations_wanted('boxes', images, 2, True) <= choices.MOST_ITERATIONS


@pytest.mark.parametrize('total', [1, 7, 300, 500, 90_000])
def test_the_warm_up_is_under_a_tenth_of_the_training(total):
    steps = choices.warm_up(total).value
    assert 1 <= steps <= max(1, total / 10)
    assert steps <= 500


def test_the_learning_rate_grows_with_the_root_of_the_batch_and_is_lower_from_weights():
    rate = [choices.learning_rate('boxes', batch, True).value for batch in (2, 8, 1024)]
    assert rate == [1e-3, 2e-3, 4e-3]
    assert choices.learning_rate('boxes', 2, False).value == 2e-4


@pytest.mark.parametrize('val_images', [1, 50, 50_000])
def test_validations_take_little_of_the_time(val_images):
    total, batch, step = 500, 2, 0.3
    interval = choices.validation_interval(total, batch, val_images, step).value
    times = math.ceil(total / interval)
    assert 1 <= times <= choices.MANY_VALIDATIONS
    share = times * val_images * step / batch / 2 / (total * step)
    assert times == 1 or share <= 1.2 * choices.VALIDATION_SHARE


def test_workers_keep_up_with_the_steps_and_leave_cores_for_them():
    assert choices.workers(0.01, 2, 0.3, CPU).value == 1
    assert choices.workers(0.1, 16, 0.5, GPU).value == 5
    assert choices.workers(1.0, 16, 0.1, GPU).value == 8
    assert choices.workers(1.0, 16, 0.1, CPU).value == 1


def test_rare_classes_of_label_maps_count_more():
    assert choices.class_weights([0.3, 0.3, 0.4]) is None
    choice = choices.class_weights([0.6, 0.36, 0.04, 0.0])
    assert choice.value[0] < choice.value[1] < choice.value[2]
    assert choice.value[3] == 1.0  # a class that does not occur
    assert '4.0 to 60 %' in choice.reason


def test_the_more_often_images_are_seen_the_more_they_are_changed():
    assert [augmentation(passes).value for passes in (1, 11, 12, 49, 50)] == [0, 0, 1, 1, 2]


def test_few_photos_come_with_a_warning():
    assert '18 training images are few' in choices.expectation(18, from_scratch=False)
    assert 'random weights' in choices.expectation(18, from_scratch=True)
    assert choices.expectation(500, from_scratch=True) == ''


def test_a_wish_that_is_too_short_is_named():
    wish = choices.iterations('boxes', 200, 2, 1.0, CPU, True, minutes=1)
    assert 'more than the 1 min of --minutes' in wish.reason
    enough = choices.iterations('boxes', 200, 2, 1.0, CPU, True, minutes=20)
    assert '--minutes' not in enough.reason.partition('; the data want')[0]


def test_classes_and_images_without_objects_are_named():
    one = np.ones((2, 2))
    statistics = Statistics(9, 3, one, one, np.ones(2), (4.0, 0.0), empty=2)
    absent, empty = choices.gaps(['dog', 'cat'], statistics)
    assert 'cat' in absent
    assert 'dog' not in absent
    assert '2 of 9' in empty
    assert choices.gaps(['dog'], statistics._replace(class_counts=(4.0,), empty=0)) == []


def test_overlaps_of_anchors_are_exact():
    boxes = np.array([[32.0, 32.0], [16.0, 64.0], [64.0, 16.0], [1024.0, 1024.0]])
    # Scale 8 at stride 4 is a square of 32; the ratio 4 makes it 16x64 and 64x16.
    overlaps = best_overlaps(boxes, 8, 4.0)
    np.testing.assert_allclose(overlaps, [1, 1, 1, 0.25], rtol=1e-12)


def test_anchors_fit_the_boxes_and_stay_usual_where_these_are_as_good():
    rng = np.random.default_rng(0)
    small = rng.uniform(8, 24, (200, 2))
    anchors = choose_anchors(small)
    assert anchors.scale < 8
    assert anchors.covered > anchors.usual
    long = np.stack([rng.uniform(30, 200, 100), rng.uniform(30, 200, 100)], 1)
    long[:, 1] = long[:, 0] * 4
    assert choose_anchors(long).ratio == 4.0
    squares = np.repeat(2.0 ** np.arange(5, 10), 2).reshape(5, 2)
    assert choose_anchors(squares)[:2] == (8, 2.0)
