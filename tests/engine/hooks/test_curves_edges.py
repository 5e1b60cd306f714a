"""Curves where a small fault would go unnoticed: which lines are drawn, and of which runs."""

import json
import math
from types import SimpleNamespace

import pytest
from matplotlib.figure import Figure

from rapidnet_mm.display.curves import headlines, plot_curves, read_scalars
from rapidnet_mm.engine.hooks import CurvesHook


@pytest.fixture
def figures(monkeypatch):
    """Figures that are drawn. Their files hold a word instead."""
    figures = []

    def write(self, target, **_):
        figures.append(self)
        target.write(b'picture')

    monkeypatch.setattr(Figure, 'savefig', write)
    return figures


def lines_of(axes):
    """The lines of a panel by their names."""
    return {line.get_label(): line for line in axes.get_lines()}


def write_log(folder, *records):
    target = folder / 'vis_data/scalars.json'
    target.parent.mkdir(parents=True)
    target.write_text('\n'.join(json.dumps(record) for record in records))


def series(*names, steps=40):
    return {name: [(step, 1 / (step + 1)) for step in range(steps)] for name in names}


def test_the_three_panels_have_their_names_and_units(figures, tmp_path):
    plot_curves(series('loss', 'lr'), series('coco/bbox_mAP', steps=2), tmp_path / 'x.png')
    (figure,) = figures
    assert (tmp_path / 'x.png').read_bytes() == b'picture'
    titles = [(axes.get_title(), axes.get_xlabel()) for axes in figure.axes]
    assert titles == [
        ('loss', 'iteration'),
        ('learning rate', 'iteration'),
        ('validation', 'epoch or iteration'),
    ]
    assert [list(lines_of(axes)) for axes in figure.axes] == [['loss'], ['lr'], ['coco/bbox_mAP']]
    assert all(axes.get_ylim()[0] == 0 for axes in figure.axes)


@pytest.mark.parametrize(
    ('names', 'drawn'),
    [
        (['loss'], ['loss']),
        (['loss', 'loss_cls'], ['loss']),  # the only part is the whole
        (['loss', 'loss_cls', 'loss_bbox'], ['loss', 'loss_cls', 'loss_bbox']),
        (['loss', 'decode.loss_ce', 'aux.loss_ce'], ['loss', 'decode.loss_ce', 'aux.loss_ce']),
        (['loss', 'acc', 'time', 'grad_norm'], ['loss']),
    ],
)
def test_losses_and_their_parts_are_drawn_and_nothing_else(names, drawn, figures, tmp_path):
    plot_curves(series(*names), {}, tmp_path / 'x.png')
    assert list(lines_of(figures[0].axes[0])) == drawn


@pytest.mark.parametrize(
    ('names', 'drawn'), [(['lr'], ['lr']), (['base_lr'], ['base_lr']), (['lr', 'base_lr'], ['lr'])]
)
def test_one_learning_rate_is_drawn(names, drawn, figures, tmp_path):
    plot_curves(series('loss', *names), {}, tmp_path / 'x.png')
    assert list(lines_of(figures[0].axes[1])) == drawn


def test_the_sum_of_the_losses_stands_out_and_few_points_are_marked(figures, tmp_path):
    train = series('loss', 'loss_cls', 'loss_bbox')
    plot_curves(train, series('a/mIoU', steps=29) | series('b/mIoU', steps=30), tmp_path / 'x.png')
    losses, _, val = (lines_of(axes) for axes in figures[0].axes)
    whole, *parts = losses.values()
    assert whole.get_color() == 'black'
    for part in parts:
        assert part.get_color() != 'black'
        assert part.get_linewidth() < whole.get_linewidth()
        assert part.get_marker() == 'None'
    assert [val[name].get_marker() for name in ('a/mIoU', 'b/mIoU')] == ['o', 'None']
    steps, values = zip(*train['loss'], strict=True)
    assert tuple(whole.get_xdata()) == steps
    assert tuple(whole.get_ydata()) == values


def test_headlines_come_before_the_rest_and_the_rest_before_nothing():
    assert headlines(series('coco/bbox_mAP', 'coco/bbox_mAP_s', 'time')) == ['coco/bbox_mAP']
    assert headlines(series('mine', 'step', 'time', 'data_time')) == ['mine']


def test_what_is_no_finite_number_of_a_step_is_left_out(tmp_path):
    records = (
        {'loss': math.nan, 'lr': 0.1, 'step': 1},
        {'loss': math.inf, 'lr': 0.1, 'step': 2},
        {'loss': 1, 'name': 'x', 'step': 3},
        {'loss': 5.0},  # of no step
        {'mIoU': 0.5, 'step': 0},
    )
    write_log(tmp_path / '1', *records)
    train, val = read_scalars(tmp_path)
    assert train['loss'] == [(3, 1)]
    assert train['lr'] == [(1, 0.1), (2, 0.1)]
    assert 'name' not in train
    assert val['mIoU'] == [(0, 0.5)]


def test_steps_come_in_their_order_whatever_the_order_of_the_runs(tmp_path):
    write_log(tmp_path / '1', dict(loss=1.0, step=10), dict(loss=2.0, step=2))
    write_log(tmp_path / '2', dict(loss=3.0, step=1))
    assert read_scalars(tmp_path)[0]['loss'] == [(1, 3.0), (2, 2.0), (10, 1.0)]


@pytest.mark.parametrize(('resume', 'steps'), [(False, (2,)), (True, (1, 2))])
@pytest.mark.parametrize('moment', ['after_train', 'after_val_epoch'])
def test_earlier_runs_are_drawn_only_where_the_run_resumes_them(
    resume, steps, moment, figures, tmp_path
):
    write_log(tmp_path / '1', dict(loss=1.0, step=1))
    write_log(tmp_path / '2', dict(loss=1.0, step=2))
    runner = SimpleNamespace(work_dir=str(tmp_path), _resume=resume, timestamp='2')
    getattr(CurvesHook('mine.png'), moment)(runner)
    (figure,) = figures
    assert (tmp_path / 'mine.png').read_bytes() == b'picture'
    assert tuple(lines_of(figure.axes[0])['loss'].get_xdata()) == steps
