import subprocess
import sys
import urllib.error
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config

from rapidnet_mm import UserError
from rapidnet_mm.backbones import RapidNet
from rapidnet_mm.engine import config as engine_config
from rapidnet_mm.engine import cpu as engine_cpu
from rapidnet_mm.engine import runner as runner_module
from rapidnet_mm.engine.runner import build_runner
from rapidnet_mm.files import write_metrics

CONFIG = str(Path(__file__).parents[2] / 'configs/maskrcnn_rapidnet_ti_shapes.py')


def shapes_config(shapes, tmp_path, **options):
    """The demo's config on the small data set."""
    root = str(shapes / 'data/shapes') + '/'
    paths = {f'{split}_dataloader.dataset.data_root': root for split in ('train', 'val', 'test')}
    for split in ('val', 'test'):
        paths[f'{split}_evaluator.ann_file'] = root + 'annotations/instances_val.json'
    options = {key.replace('__', '.'): value for key, value in options.items()}
    return engine_config.load_config(CONFIG, {**paths, **options}, str(tmp_path / 'work'))


def test_the_work_directory_is_named_after_the_config_unless_told():
    assert engine_config.load_config(CONFIG).work_dir == 'work_dirs/maskrcnn_rapidnet_ti_shapes'
    assert engine_config.load_config(CONFIG, work_dir='x').work_dir == 'x'


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('model = dict(', 'SyntaxError'),
        ("_base_ = ['nowhere.py']", 'nowhere.py'),
        ('model = undefined', 'undefined'),
        ("custom_imports = dict(imports=['no_such_module'])", 'no_such_module'),
    ],
)
def test_a_config_that_cannot_be_read_is_named_in_a_line(text, message, tmp_path):
    path = tmp_path / 'broken.py'
    path.write_text(text)
    with pytest.raises(UserError, match=message) as error:
        engine_config.load_config(path)
    assert '\n' not in str(error.value)
    assert 'broken.py' in str(error.value)


def test_a_work_directory_that_cannot_be_written_is_named(shapes, tmp_path):
    (tmp_path / 'work').write_text('a file is in the way')
    with pytest.raises(UserError, match=r'folder .*work cannot be written'):
        build_runner(shapes_config(shapes, tmp_path))


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (
            dict(model__roi_head__mask_head__num_classes=7),
            r'mask_head\.num_classes is 7.* 5 classes',
        ),
        (dict(model__backbone__type='RapidNett'), 'RapidNett is not in the'),
        (dict(model__backbone__arch='xl'), "no arch 'xl'"),
        (dict(model__neck__in_channels=[1, 2, 3, 4]), r'gives \[32, 64, 112, 224\]'),
        (dict(model=3), 'model should be'),
    ],
)
def test_what_the_model_and_the_data_disagree_on_is_said(options, message, shapes, tmp_path):
    with pytest.raises(UserError, match=message) as error:
        build_runner(shapes_config(shapes, tmp_path, **options))
    assert '\n' not in str(error.value)


def test_an_argument_that_does_not_exist_is_named(shapes, tmp_path):
    cfg = shapes_config(shapes, tmp_path)
    cfg.model.backbone.depth = 50
    with pytest.raises(UserError, match="unexpected keyword argument 'depth'"):
        build_runner(cfg)


@pytest.mark.slow
@pytest.mark.parametrize(
    'options',
    [
        dict(train_cfg__max_epochs='abc'),
        dict(train_dataloader__batch_size=0),
        dict(optim_wrapper__optimizer__lr='abc'),
        dict(model__backbone__init_cfg='file.pth'),
        dict(model__backbone__init_cfg=dict(type='Pretrained', checkpoint='missing.pth')),
    ],
)
def test_impossible_values_are_a_line_when_they_are_used(options, shapes, tmp_path):
    with pytest.raises(UserError) as error:
        build_runner(shapes_config(shapes, tmp_path, **options)).train()
    assert '\n' not in str(error.value)


@pytest.mark.slow
def test_weights_that_are_not_there_are_named_with_what_to_do(shapes, tmp_path):
    options = dict(model__backbone__init_cfg=dict(type='Pretrained', checkpoint='no/file.pth'))
    with pytest.raises(UserError, match=r'RapidNet: no/file\.pth does not exist; .*init_cfg=None'):
        build_runner(shapes_config(shapes, tmp_path, **options)).train()


@pytest.mark.slow
def test_weights_that_cannot_be_fetched_are_a_line(shapes, tmp_path, monkeypatch):
    def unreachable(_):
        raise urllib.error.URLError('Name or service not known')

    runner = build_runner(shapes_config(shapes, tmp_path))
    monkeypatch.setattr(type(runner.model), 'init_weights', unreachable)
    with pytest.raises(UserError, match=r'cannot be read \(.*not known.*name a file') as error:
        runner.train()
    assert '\n' not in str(error.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason='what happens without a GPU')
def test_on_the_cpu_convolutions_run_channels_last_with_the_same_result(shapes, tmp_path):
    torch.manual_seed(0)
    plain = RapidNet('ti').eval()
    image = torch.randn(1, 3, 64, 96)
    expected = plain(image)
    engine_cpu.tune_for_cpu(plain)
    for ours, theirs in zip(plain(image), expected, strict=True):
        assert ours.is_contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(ours, theirs)
    kernel = build_runner(shapes_config(shapes, tmp_path)).model.backbone.stem[0].conv
    assert kernel.weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize('mode', ['train', 'test'])
def test_a_config_without_what_it_needs_is_refused(mode, tmp_path):
    with pytest.raises(UserError, match=f'no model and no {mode}_dataloader'):
        build_runner(Config(dict(work_dir=str(tmp_path))), mode=mode)


def test_a_checkpoint_of_another_training_cannot_be_resumed(shapes, tmp_path):
    cfg = shapes_config(shapes, tmp_path)
    runner = build_runner(cfg)
    path = str(tmp_path / 'other.pth')
    state = runner.model.state_dict()
    meta = {'epoch': 1, 'iter': 4}
    torch.save({'state_dict': state, 'optimizer': {}, 'meta': meta, 'message_hub': {}}, path)
    runner._resume = True
    with pytest.raises(UserError, match='of another training'):
        runner.resume(path)


def test_loaders_without_workers_need_no_second_option(shapes, tmp_path):
    cfg = shapes_config(shapes, tmp_path, train_dataloader__num_workers=0)
    assert build_runner(cfg).cfg.train_dataloader.persistent_workers is False


def test_mixed_precision_can_be_adjusted_by_options():
    options = {'optim_wrapper.clip_grad': dict(max_norm=1)}
    kind = engine_config.load_config(CONFIG, options, amp=True).optim_wrapper.type
    assert kind in ('AmpOptimWrapper', 'BFloat16OptimWrapper')


def test_weights_without_a_training_state_cannot_be_resumed(shapes, tmp_path):
    cfg = shapes_config(shapes, tmp_path)
    runner = build_runner(cfg)
    path = str(tmp_path / 'weights.pth')
    torch.save({'state_dict': runner.model.state_dict()}, path)
    runner.load_checkpoint(path)  # to start from is fine
    runner._resume = True
    with pytest.raises(UserError, match='no state of a training'):
        runner.load_checkpoint(path)


@pytest.mark.slow
def test_fine_tuning_takes_the_backbone_and_leaves_other_heads(shapes, tmp_path):
    runner = build_runner(shapes_config(shapes, tmp_path))
    state = {k: torch.full_like(v, 2) for k, v in runner.model.state_dict().items()}
    head = 'roi_head.bbox_head.fc_cls.weight'
    state[head] = torch.zeros(81, state[head].shape[1])
    torch.save({'state_dict': state}, tmp_path / 'coco.pth')
    runner.load_checkpoint(str(tmp_path / 'coco.pth'))
    loaded = runner.model.state_dict()
    assert loaded['backbone.stem.0.conv.weight'].eq(2).all()
    assert not loaded[head].eq(2).any()
    del state['backbone.stem.0.conv.weight']
    torch.save({'state_dict': state}, tmp_path / 'partial.pth')
    with pytest.raises(UserError, match='1 missing'):
        runner.load_checkpoint(str(tmp_path / 'partial.pth'))


def test_resuming_automatically_from_nothing_starts_from_the_beginning(tmp_path):
    cfg = Config(dict(work_dir=str(tmp_path)))
    runner_module.resume_from(cfg, 'auto')
    assert not cfg.get('resume')


def test_metrics_are_valid_json_whatever_the_numbers(tmp_path):
    path = write_metrics({'a': np.nan, 'b': np.float32(0.5)}, tmp_path / 'deep/metrics.json')
    assert path.read_text().split() == ['{', '"a":', 'null,', '"b":', '0.5', '}']
    (tmp_path / 'file').write_text('')
    with pytest.raises(UserError, match='cannot be written'):
        write_metrics({}, tmp_path / 'file/metrics.json')


def test_tensorboard_is_added_or_its_absence_told(monkeypatch):
    cfg = engine_config.load_config(CONFIG)
    monkeypatch.setattr(engine_config.importlib.util, 'find_spec', lambda _: None)
    with pytest.raises(UserError, match='pip install'):
        engine_config.use_tensorboard(cfg)
    monkeypatch.setattr(engine_config.importlib.util, 'find_spec', lambda _: 'there')
    engine_config.use_tensorboard(cfg)
    assert [b['type'] for b in cfg.visualizer.vis_backends] == [
        'LocalVisBackend',
        'TensorboardVisBackend',
    ]


@pytest.mark.parametrize('package', ['mmengine', 'mmcv', 'torch'])
def test_without_the_mm_stack_it_says_what_to_install(package):
    code = (
        f"import sys; sys.modules['{package}'] = None; import rapidnet_mm; rapidnet_mm.Inferencer"
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert "pip install 'rapidnet-mm[mm]'" in last
    assert "'rapidnet-mm[openmmlab]'" in last


@pytest.mark.slow
def test_amp_computes_the_forward_pass_in_bfloat16_on_the_cpu(shapes, tmp_path):
    root = str(shapes / 'data/shapes') + '/'
    options = {
        'train_dataloader.dataset.data_root': root,
        'train_dataloader.dataset.indices': 2,
        'train_dataloader.num_workers': 0,
        'val_dataloader': None,
        'val_cfg': None,
        'val_evaluator': None,
        'train_cfg.max_epochs': 1,
    }
    dtypes = {}
    for amp in (True, False):
        cfg = engine_config.load_config(CONFIG, options, str(tmp_path / f'amp_{amp}'), amp=amp)
        trainer = build_runner(cfg)
        outputs = dtypes.setdefault(amp, [])
        trainer.model.backbone.stem[0].conv.register_forward_hook(
            lambda *call, outputs=outputs: outputs.append(call[2].dtype)
        )
        trainer.train()
        assert {p.dtype for p in trainer.model.parameters()} == {torch.float32}
    if torch.cuda.is_available():
        assert set(dtypes[True]) == {torch.float16}
    else:
        assert set(dtypes[True]) == {torch.bfloat16}
    assert set(dtypes[False]) == {torch.float32}


class Built(Exception):
    """The checks are over."""


@pytest.mark.parametrize(
    ('launcher', 'variable', 'rank', 'checks'),
    [
        ('none', 'RANK', '1', 1),
        ('pytorch', 'RANK', '0', 1),
        ('pytorch', 'RANK', '1', 0),
        ('slurm', 'SLURM_PROCID', '0', 1),
        ('slurm', 'SLURM_PROCID', '3', 0),
    ],
)
def test_the_first_process_alone_checks_the_data(
    launcher, variable, rank, checks, shapes, tmp_path, monkeypatch
):
    calls = []

    def built(_):
        raise Built

    monkeypatch.setenv(variable, rank)
    monkeypatch.setattr(runner_module, 'check_data', lambda _, splits: calls.append(splits))
    monkeypatch.setattr(runner_module, 'fit_to_device', lambda _: None)
    monkeypatch.setattr(runner_module.CheckedRunner, 'from_cfg', built)
    with pytest.raises(Built):
        build_runner(shapes_config(shapes, tmp_path), launcher=launcher)
    assert len(calls) == checks
