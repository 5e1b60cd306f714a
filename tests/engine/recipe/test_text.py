"""The written config: small, readable, with a reason at each number, and it works."""

import ast

import pytest

from rapidnet_mm.data.checks.check_config import nested_dicts
from rapidnet_mm.data.importers.dataset import read_dataset
from rapidnet_mm.data.shapes.make import make_classes
from rapidnet_mm.engine.config import build_model, config_file, load_config
from rapidnet_mm.engine.recipe.choices import Machine
from rapidnet_mm.engine.recipe.models import check_weights, choose_base
from rapidnet_mm.engine.recipe.recipe import make_recipe
from rapidnet_mm.engine.recipe.statistics import measure
from rapidnet_mm.engine.recipe.text import config_text
from rapidnet_mm.engine.recipe.trial import Attempt
from tests.engine.own_data import class_lists, imported, imported_shapes
from tests.messages import assert_says, refusal

CPU, GPU = Machine('cpu', 2, 2**33), Machine('cuda', 16, 2**35)
ATTEMPTS = [Attempt(batch, batch * 1e8, 0.2, 0.01) for batch in (1, 2, 4)]
CASES = [
    ('boxes', None, CPU, True),
    ('boxes', 'ssdlite_rexnet_100', GPU, True),
    ('boxes', 'fasterrcnn_r50', GPU, True),
    ('instance', None, CPU, False),
    ('instance', 'maskrcnn_rapidnet_m_coco', GPU, False),
    ('semantic', None, CPU, True),
    ('semantic', 'semfpn_vgnetg_1_0mp', GPU, False),
    ('classes', None, CPU, True),
    ('classes', 'rapidnet_s', GPU, False),
]


@pytest.fixture(scope='module')
def data_of(shapes, tmp_path_factory):
    """Imported data of each task."""
    folder = tmp_path_factory.mktemp('imported')
    for task in ('boxes', 'instance', 'semantic'):
        imported_shapes(folder / task, shapes / 'data/shapes', task)
    classes = make_classes(folder / 'shapes', train=10, val=5, size=(64, 64))
    class_lists(folder / 'classes', classes)
    return lambda task: read_dataset(folder / task)


def written(data, model, machine, from_scratch):
    base = choose_base(data.task, model)
    recipe = make_recipe(data, measure(data), base, machine, from_scratch, None, ATTEMPTS)
    place = config_file(base.name)
    text = config_text(
        data, base, place, recipe, machine, from_scratch, 'rapidnet new x', 'rapidnet train x'
    )
    path = data.folder / 'mine.py'
    path.write_text(text)
    return text, path


@pytest.mark.parametrize(('task', 'model', 'machine', 'from_scratch'), CASES)
def test_a_written_config_is_readable_and_whole(task, model, machine, from_scratch, data_of):
    text, path = written(data_of(task), model, machine, from_scratch)
    assert 'num_classes' not in text
    assert len(text.splitlines()) < 150
    own = [line for line in text.splitlines() if not line.startswith('_base_')]
    assert max(map(len, own)) <= 100
    for name in ('side', 'batch', 'iterations', 'warm_up', 'lr', 'interval', 'workers'):
        lines = text.splitlines()
        index = next(n for n, line in enumerate(lines) if line.startswith(f'{name} = '))
        assert lines[index - 1].startswith('# ')
    names = [n.targets[0].id for n in ast.parse(text).body]
    assert len(names) == len(set(names))
    cfg = load_config(path)
    assert cfg.optim_wrapper.optimizer.type == 'AdamW'
    assert cfg.train_cfg.max_iters > 10 * cfg.param_scheduler[0].end
    assert cfg.param_scheduler[-1].end == cfg.train_cfg.max_iters
    starts = [
        str(node.get('init_cfg').get('checkpoint'))
        for node, _ in nested_dicts(cfg.model.backbone, 'backbone')
        if isinstance(node.get('init_cfg'), dict) and node.init_cfg.type == 'Pretrained'
    ]
    assert bool(starts) is not from_scratch
    model = build_model(cfg)
    if task == 'boxes':
        assert not getattr(model, 'with_mask', False)
        assert cfg.val_evaluator.metric == 'bbox'


def test_measured_statistics_are_those_of_the_training_images(data_of, tmp_path):
    statistics = measure(data_of('boxes'))
    assert (statistics.images, statistics.val_images) == (8, 4)
    assert abs(statistics.long_side - 128) < 20
    assert len(statistics.boxes) == sum(statistics.class_counts)
    assert statistics.object_sizes(statistics.long_side).max() < statistics.long_side
    shares = measure(data_of('semantic')).class_counts
    assert sum(shares) == pytest.approx(1)
    assert measure(data_of('classes')).class_counts == (2,) * 5
    files = dict.fromkeys(('train', 'val'), '{"images": [], "annotations": []}')
    imported(tmp_path, tmp_path, 'boxes', ['a'], files)
    assert_says(refusal(measure, read_dataset(tmp_path)), 'training images', 'object')


def test_a_model_that_is_not_there_gets_the_nearest():
    line = refusal(choose_base, 'instance', 'maskrcnn_rapidnet_it')
    assert_says(line, 'maskrcnn_rapidnet_it', 'the nearest is maskrcnn_rapidnet_ti')
    assert_says(refusal(choose_base, 'boxes', 'semfpn_rapidnet_ti_ade20k'), 'boxes')


def test_weights_that_cannot_be_had_are_named_with_the_way_without(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    base = choose_base('boxes')
    check_weights(base, from_scratch=True)
    assert_says(refusal(check_weights, base, False), 'rapidnet_ti', '--from-scratch')
