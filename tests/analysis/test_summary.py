import copy
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from rapidnet_mm.analysis import summary
from rapidnet_mm.analysis.complexity import measure
from rapidnet_mm.engine.config import load_config
from rapidnet_mm.engine.device import default_device, device_name
from rapidnet_mm.engine.runner import build_runner, resume_from

CONFIG = str(Path(__file__).parents[2] / 'configs/maskrcnn_rapidnet_ti_shapes.py')


@pytest.fixture
def trainer(shapes, tmp_path, monkeypatch):
    """A function that builds a runner, with options, up to where its training begins."""
    monkeypatch.chdir(shapes)

    def build(resume=None, amp=False, **options):
        short = {
            'train_cfg.max_epochs': 2,
            'train_dataloader.num_workers': 0,
            'val_dataloader.num_workers': 0,
        }
        options = short | {key.replace('__', '.'): value for key, value in options.items()}
        cfg = load_config(CONFIG, options, str(tmp_path / 'work'), amp=amp)
        if resume:
            resume_from(cfg, str(resume))
        runner = build_runner(cfg)
        monkeypatch.setattr(type(runner.train_loop), 'run', lambda _: None)
        runner.train()
        return runner

    return build


def facts(text):
    """The lines of a summary by their names."""
    return {line.split()[0]: line.split(maxsplit=1)[1] for line in text.splitlines()}


def test_the_summary_has_the_facts(trainer, tmp_path):
    runner = trainer(train_dataloader__batch_size=3)
    text = summary.start_text(runner)
    found = facts(text)
    parameters = sum(p.numel() for p in runner.model.parameters()) / 1e6
    flops = measure(copy.deepcopy(runner.model).to('meta'), (192, 256)).total.flops / 1e9
    for fact in ('MaskRCNN', 'RapidNet ti', f'{parameters:.2f} M', f'{flops:.2f} G', '192x256'):
        assert fact in found['model']
    count = len(runner.train_dataloader.dataset)
    assert f'{count} images to train in data/shapes/train' in found['data']
    assert '4 to validate in data/shapes/val' in found['data']
    assert found['classes'] == '5: disc, square, triangle, star, cross'
    assert f'2 epochs of {-(-count // 3)} iterations' in found['schedule']
    assert found['batch'].startswith('3 images ')
    assert 'AdamW, learning rate 0.001, LinearLR, CosineAnnealingLR' in found['optimizer']
    assert found['precision'] == 'float32'
    assert found['device'].startswith(f'{default_device()}: {device_name()}')
    assert 'random' in found['weights']
    assert found['results'] == str(tmp_path / 'work')
    assert found['log'] == runner.logger.log_file
    assert len(text.splitlines()) < 20


def test_the_summary_says_where_weights_come_from(trainer, tmp_path):
    runner = trainer()
    weights = tmp_path / 'start.pth'
    torch.save({'state_dict': runner.model.state_dict()}, weights)
    assert facts(summary.start_text(trainer(load_from=str(weights))))['weights'] == str(weights)
    backbone = {f'backbone.{k}': v for k, v in runner.model.backbone.state_dict().items()}
    torch.save({'state_dict': backbone}, weights)
    init_cfg = dict(type='Pretrained', checkpoint=str(weights))
    found = facts(summary.start_text(trainer(model__backbone__init_cfg=init_cfg)))
    assert found['weights'] == f'{weights} (backbone)'


def test_the_summary_of_a_resumed_training_says_what_is_done(trainer, tmp_path):
    runner = trainer()
    runner.train_loop._epoch, runner.train_loop._iter = 1, 4
    for parameter in runner.model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    runner.optim_wrapper.optimizer.step()  # a checkpoint in the middle has moments
    runner.save_checkpoint(str(tmp_path), 'epoch_1.pth', by_epoch=False, meta=dict(epoch=1, iter=4))
    found = facts(summary.start_text(trainer(resume=tmp_path / 'epoch_1.pth')))
    assert 'done already: 1 epoch' in found['schedule']
    assert found['weights'] == f'resumed from {tmp_path / "epoch_1.pth"}'


def test_the_summary_names_mixed_precision_and_frozen_parameters(trainer):
    runner = trainer(amp=True, model__backbone__frozen_stages=4)
    found = facts(summary.start_text(runner))
    expected = 'float16' if torch.cuda.is_available() else 'bfloat16'
    assert found['precision'].startswith(expected)
    trained = sum(p.numel() for p in runner.model.parameters() if p.requires_grad) / 1e6
    assert f'{trained:.2f} M are trained' in found['model']


def test_counting_changes_neither_the_model_nor_the_random_state(trainer):
    runner = trainer()
    model = runner.model
    before = {key: value.clone() for key, value in model.state_dict().items()}
    modes = {name: module.training for name, module in model.named_modules()}
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    assert summary.flops_of(model, (192, 256)) > 1e9
    summary.start_text(runner)
    assert states == (
        random.getstate(),
        np.random.get_state()[1].tolist(),
        torch.get_rng_state().tolist(),
    )
    assert modes == {name: module.training for name, module in model.named_modules()}
    after = model.state_dict()
    assert before.keys() == after.keys()
    for key, value in after.items():
        assert value.equal(before[key]), key
        assert value.device.type != 'meta', key


def test_what_cannot_be_counted_does_not_stop_a_training(trainer, monkeypatch):
    runner = trainer()
    monkeypatch.setattr(summary, 'measure', lambda *_: 1 / 0)
    found = facts(summary.start_text(runner))['model']
    assert 'FLOPs not counted' in found
    assert 'M parameters' in found


def reporting(trainer, evaluations, monkeypatch):
    """What is said at the end, after evaluations: (metrics, the best checkpoint afterwards)."""
    runner = trainer()
    lines = []
    monkeypatch.setattr(runner.logger, 'info', lines.append)
    report = summary.TrainingReport(['rapidnet'])
    runner.message_hub.update_info('last_ckpt', f'{runner.work_dir}/epoch_2.pth')
    for metrics, best in evaluations:
        if best:
            runner.message_hub.update_info('best_ckpt', f'{runner.work_dir}/{best}')
        report.after_val_epoch(runner, metrics)
    report.after_train(runner)
    return '\n'.join(lines)


def test_the_end_names_the_best_checkpoint_with_its_own_metrics(trainer, monkeypatch):
    text = reporting(
        trainer,
        [
            ({'coco/bbox_mAP': 0.25}, 'best_1.pth'),
            ({'coco/bbox_mAP': 0.5, 'coco/bbox_AR@100': 0.75}, 'best_2.pth'),
            ({'coco/bbox_mAP': 0.375}, None),
        ],
        monkeypatch,
    )
    assert 'Best checkpoint: ' in text
    assert 'coco/bbox_mAP: 0.5000' in text
    assert '0.3750' not in text
    commands = [line.split() for line in text.splitlines() if line.startswith('  rapidnet')]
    assert [command[1] for command in commands] == ['test', 'infer', 'report']
    assert commands[2][2].endswith('work')
    for command in commands[:2]:
        assert command[2].endswith('work/maskrcnn_rapidnet_ti_shapes.py')
        assert command[3].endswith('work/best_2.pth')
    assert Path(commands[1][4]).is_file()


def test_without_a_best_checkpoint_the_last_is_named(trainer, monkeypatch):
    text = reporting(trainer, [], monkeypatch)
    assert 'Last checkpoint: ' in text
    assert text.count('work/epoch_2.pth') == 3
