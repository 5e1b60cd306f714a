"""``rapidnet test``: merged variants, files for a server, predictions in a file, seeds."""

import json
import os
import pickle
import subprocess

import pytest
import torch
from mmengine.registry import MODELS, init_default_scope

from rapidnet_mm import UserError
from rapidnet_mm.engine import config as engine_config
from rapidnet_mm.engine.runner import build_runner
from tests.commands.test_detection import CONFIG
from tests.messages import assert_says
from tests.tools import REPOSITORY
from tests.training import random_statistics
from tests.warm import WarmCommands

pytestmark = [pytest.mark.openmmlab, pytest.mark.slow]
SEGMENTER, CLASSIFIER = 'semfpn_rapidnet_ti_shapes', 'imagenet/rapidnet_ti_shapes'
ANYTHING = ['model.test_cfg.rcnn.score_thr=0.0']  # random weights are sure of nothing


@pytest.fixture(scope='module')
def project(shapes, tmp_path_factory):
    """A folder with the small data set and checkpoints of random weights."""
    folder = tmp_path_factory.mktemp('options')
    (folder / 'data').symlink_to(shapes / 'data')
    for name in (CONFIG, SEGMENTER, 'ssdlite_rexnet_100_shapes'):
        cfg = engine_config.load_config(name)
        init_default_scope(cfg.default_scope)
        torch.manual_seed(0)
        model = random_statistics(MODELS.build(cfg.model))
        torch.save({'state_dict': model.state_dict()}, folder / f'{cfg.default_scope}.pth')
        if 'ssd' in name:
            os.rename(folder / 'mmdet.pth', folder / 'ssd.pth')
        elif cfg.default_scope == 'mmdet':
            os.rename(folder / 'mmdet.pth', folder / 'detector.pth')
    return folder, WarmCommands(folder)


def measured(project, *arguments):
    """The output of ``rapidnet test``, which succeeds."""
    _, rapidnet = project
    status, output = rapidnet(['test', *arguments])
    assert status == 0, output[-3000:]
    return output


@pytest.mark.parametrize(
    ('name', 'checkpoint', 'keys'),
    [
        (CONFIG, 'detector.pth', {'coco/bbox_mAP', 'coco/segm_mAP'}),
        ('ssdlite_rexnet_100_shapes', 'ssd.pth', {'coco/bbox_mAP'}),
    ],
)
def test_variants_of_the_images_are_merged(name, checkpoint, keys, project):
    folder, _ = project
    numbers, pictures = f'{checkpoint}.json', f'{checkpoint}.pictures'
    args = [name, checkpoint, '--tta', '--out', numbers, '--show-dir', pictures]
    measured(project, *args, '--work-dir', 'tta_run')
    assert keys <= json.loads((folder / numbers).read_text()).keys()
    assert len(os.listdir(folder / pictures)) == 4


def test_merged_variants_of_one_kind_are_the_plain_prediction(project, tmp_path, monkeypatch):
    folder, _ = project
    monkeypatch.chdir(folder)
    numbers = []
    for merge in (False, True):
        cfg = engine_config.load_config(CONFIG, {}, str(tmp_path))
        cfg.model.test_cfg.rcnn.nms.iou_threshold = cfg.tta_model.nms.iou_threshold
        steps = cfg.tta_pipeline[1].transforms
        steps[0], steps[1] = steps[0][1:2], steps[1][:1]  # the size of the test, not flipped
        if merge:
            engine_config.use_tta(cfg)
        cfg.load_from = 'detector.pth'
        with torch.inference_mode():
            numbers.append(build_runner(cfg, mode='test').test())
    assert numbers[0] == numbers[1]


def without_annotations(folder, name='server.json'):
    """A file as test servers give it: images and categories."""
    path = folder / 'data/shapes/annotations/instances_val.json'
    content = json.loads(path.read_text())
    del content['annotations']
    target = folder / name
    target.write_text(json.dumps(content))
    return content, target


def test_a_file_for_the_test_server_needs_no_annotations(project):
    folder, _ = project
    content, path = without_annotations(folder)
    options = [f'test_dataloader.dataset.ann_file={path}', f'test_evaluator.ann_file={path}']
    args = [CONFIG, 'detector.pth', '--format-only', '--work-dir', 'server', '--dump', 'all.pkl']
    output = measured(project, *args, '--cfg-options', *options, *ANYTHING)
    assert_says(output, 'results are in server/results.bbox.json, server/results.segm.json')
    assert 'mAP' not in output
    assert not (folder / 'server/metrics.json').exists()
    sizes = {image['id']: (image['height'], image['width']) for image in content['images']}
    categories = {category['id'] for category in content['categories']}
    boxes, masks = (json.loads((folder / f'server/results.{kind}.json').read_text())
                    for kind in ('bbox', 'segm'))  # fmt: skip
    assert len(boxes) == len(masks) > 4
    for box, mask in zip(boxes, masks, strict=True):
        assert box.keys() == {'image_id', 'category_id', 'bbox', 'score'}
        assert mask.keys() == {'image_id', 'category_id', 'segmentation', 'score'}
        assert tuple(mask['segmentation']['size']) == sizes[mask['image_id']]
        assert box['category_id'] in categories
    with (folder / 'all.pkl').open('rb') as file:
        dumped = pickle.load(file)
    assert [entry['img_id'] for entry in dumped] == sorted(sizes)
    first = dumped[0]['pred_instances']
    assert len(first['bboxes']) == sum(box['image_id'] == dumped[0]['img_id'] for box in boxes)
    assert isinstance(first['masks'][0], dict)  # RLE


def test_predictions_of_a_segmenter_go_into_a_file_beside_the_metrics(project):
    folder, _ = project
    args = [SEGMENTER, 'mmseg.pth', '--dump', 'labels.pickle', '--out', 'seg.json']
    output = measured(project, *args, '--seed', '3', '--deterministic', '--work-dir', 'seg')
    assert_says(output, 'predictions are in labels.pickle')
    assert 'mIoU' in json.loads((folder / 'seg.json').read_text())
    with (folder / 'labels.pickle').open('rb') as file:
        dumped = pickle.load(file)
    assert len(dumped) == 4
    for entry in dumped:
        assert entry['pred_sem_seg']['data'].shape == (1, *entry['ori_shape'])


@pytest.mark.parametrize(
    ('arguments', 'parts'),
    [
        ([SEGMENTER, 'mmseg.pth', '--format-only'], ['--format-only', 'SemanticIoU', 'CocoAP']),
        ([SEGMENTER, 'mmseg.pth', '--dump', 'x.json'], ['--dump x.json', '.pkl or .pickle']),
        ([SEGMENTER, 'mmseg.pth', '--dump', 'mmseg.pth/x.pkl'], ['--dump', 'mmseg.pth']),
        ([SEGMENTER, 'mmseg.pth', '--seed', '-1'], ['argument --seed', '2**32 - 1']),
    ],
)
def test_what_cannot_be_written_is_a_line(arguments, parts, project):
    _, rapidnet = project
    status, output = rapidnet(['test', *arguments, '--work-dir', 'refused'])
    assert status == 2
    assert_says(output.splitlines()[-1], *parts)
    assert 'Traceback' not in output


def test_two_trainings_of_one_seed_are_equal_and_of_another_are_not(project):
    folder, rapidnet = project
    weights = []
    for run, seed in (('a', 5), ('b', 5), ('c', 6)):
        args = ['train', SEGMENTER, '--work-dir', run, '--seed', str(seed), '--deterministic']
        options = ['train_cfg.max_iters=2', 'default_hooks.checkpoint.interval=2']
        options += ['train_dataloader.num_workers=0', 'train_dataloader.batch_size=2']
        status, output = rapidnet([*args, '--cfg-options', *options])
        assert status == 0, output[-3000:]
        content = torch.load(folder / run / 'iter_2.pth', weights_only=False)
        assert content['meta']['seed'] == seed
        weights.append(content['state_dict']['decode_head.conv_seg.weight'])
    assert weights[0].equal(weights[1])
    assert not weights[0].equal(weights[2])


def test_an_operator_that_is_never_deterministic_is_named_in_a_line():
    fault = 'roi_x does not have a deterministic implementation, but you set ...\nSee more'
    with (
        pytest.raises(UserError, match=r'^--deterministic: roi_x has no') as error,
        engine_config.named_determinism_errors(),
    ):
        raise RuntimeError(fault)
    assert '\n' not in str(error.value)
    with pytest.raises(RuntimeError, match='another'), engine_config.named_determinism_errors():
        raise RuntimeError('another')


@pytest.mark.parametrize(
    ('tool', 'positionals'), [('train', ['a.py']), ('test', ['a.py', 'b.pth'])]
)
def test_slurm_gets_the_tool_with_its_arguments(tool, positionals, tmp_path):
    srun = tmp_path / 'srun'
    srun.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    srun.chmod(0o755)
    path = f'{tmp_path}:{os.environ["PATH"]}'
    script = REPOSITORY / f'tools/slurm_{tool}.sh'
    env = {'PATH': path, 'GPUS': '16', 'SRUN_ARGS': '--x --y', 'PYTHON': 'py'}
    done = subprocess.run(
        [script, 'part', 'job', *positionals, '--seed', '1'],
        env=env,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.split('\n')[:-1]
    assert {'--partition=part', '--job-name=job', '--ntasks=16', '--gres=gpu:8', '--x'} <= {*lines}
    start = lines.index('py')
    assert lines[start + 2].endswith(f'/tools/{tool}.py')
    assert lines[start + 3 :] == [*positionals, '--launcher', 'slurm', '--seed', '1']
    short = subprocess.run([script, 'part', 'job'], env=env, capture_output=True, text=True)
    assert short.returncode == 2
    assert_says(short.stderr, 'error: give partition', f'{tool}.py', f'slurm_{tool}.sh')
