"""Where a training starts: its files are there before anything is built, or a line says why not."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModule
from mmpretrain.models.backbones import ResNet

from rapidnet_mm import UserError
from rapidnet_mm.analysis import summary
from rapidnet_mm.engine.runner import CheckedRunner, build_runner, resume_from
from rapidnet_mm.engine.start import forget_start
from tests.engine.test_runner import shapes_config

NAME = 'rapidnet_ti_sldc'  # nobody has published these
START = dict(model__backbone__init_cfg=dict(type='Pretrained', checkpoint=NAME))


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def short(shapes, tmp_path, **options):
    workers = dict(train_dataloader__num_workers=0, val_dataloader__num_workers=0)
    return shapes_config(shapes, tmp_path, **workers, **options)


@pytest.mark.parametrize(
    'options', [START, dict(load_from=NAME), dict(load_from='no.pth')], ids=['init', 'name', 'file']
)
def test_weights_that_are_not_there_are_a_line_before_the_model_is_built(
    options, shapes, tmp_path, monkeypatch
):
    monkeypatch.setattr(CheckedRunner, 'from_cfg', lambda _: pytest.fail('the model is built'))
    with pytest.raises(UserError, match=r'rapidnet_ti_sldc|no\.pth') as error:
        build_runner(short(shapes, tmp_path, **options))
    assert '\n' not in str(error.value)
    assert ('--from-scratch' in str(error.value)) == (options is START)


@pytest.mark.slow
def test_a_training_that_goes_on_needs_no_weights_by_name(shapes, tmp_path, monkeypatch):
    first = build_runner(short(shapes, tmp_path))
    monkeypatch.setattr(type(first.train_loop), 'run', lambda _: None)
    first.train()
    for parameter in first.model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    first.optim_wrapper.optimizer.step()  # a checkpoint in the middle has moments
    meta = dict(epoch=1, iter=4)
    first.save_checkpoint(str(tmp_path / 'work'), 'epoch_1.pth', by_epoch=False, meta=meta)
    cfg = short(shapes, tmp_path, **START)
    resume_from(cfg, 'auto')
    second = build_runner(cfg)
    second.train()
    for key, value in second.model.state_dict().items():
        assert value.equal(first.model.state_dict()[key]), key
    # The config in the work directory still says where a new training would start.
    assert NAME in Path(tmp_path, 'work/maskrcnn_rapidnet_ti_shapes.py').read_text()


def test_load_from_needs_no_weights_for_the_backbone(shapes, tmp_path, monkeypatch):
    Path('detector.pth').write_bytes(b'')
    monkeypatch.setattr(CheckedRunner, 'from_cfg', lambda _: pytest.fail('the model is built'))
    with pytest.raises(BaseException, match='the model is built'):
        build_runner(short(shapes, tmp_path, load_from='detector.pth', **START))


@pytest.mark.slow
def test_auto_resume_without_a_checkpoint_needs_the_weights(shapes, tmp_path):
    cfg = short(shapes, tmp_path, **START)
    resume_from(cfg, 'auto')
    with pytest.raises(UserError, match=NAME):
        build_runner(cfg)


@pytest.mark.slow
def test_the_summary_says_from_which_file_a_name_comes(shapes, tmp_path, monkeypatch):
    runner = build_runner(short(shapes, tmp_path))
    Path('checkpoints').mkdir()
    torch.save(runner.model.backbone.state_dict(), f'checkpoints/{NAME}.pth')
    started = build_runner(short(shapes, tmp_path, **START))
    monkeypatch.setattr(type(started.train_loop), 'run', lambda _: None)
    started.train()
    line = next(x for x in summary.start_text(started).splitlines() if x.startswith('weights'))
    assert f'{NAME} (backbone, from checkpoints/{NAME}.pth)' in line
    state = runner.model.backbone.state_dict()
    for key, value in started.model.backbone.state_dict().items():
        assert value.equal(state[key]), key


@pytest.mark.parametrize('in_a_list', [True, False])
@pytest.mark.parametrize(
    ('load_from', 'resume'), [('x.pth', True), ('x.pth', False), (None, False)]
)
def test_modules_of_the_hosts_forget_their_files_too(load_from, resume, in_a_list):
    file = dict(type='Pretrained', checkpoint='no/file.pth')
    model = BaseModule()
    model.backbone = ResNet(18, init_cfg=[file] if in_a_list else file)
    with pytest.raises(UserError, match=r'ResNet: no/file\.pth'):
        model.init_weights()
    model = BaseModule()
    model.backbone = ResNet(18, init_cfg=[file] if in_a_list else file)
    forget_start(Config(dict(load_from=load_from, resume=resume)), model)
    if load_from:
        model.init_weights()
    else:
        with pytest.raises(UserError, match='ResNet: no/file'):
            model.init_weights()
