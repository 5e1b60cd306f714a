"""The page: what it shows, what it escapes, and what it refuses."""

import json
import os
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

from rapidnet_mm import UserError
from rapidnet_mm.analysis.report import build, work_dir
from rapidnet_mm.analysis.report.classes import ClassResults
from rapidnet_mm.analysis.report.curves import damaged_lines, thinned
from rapidnet_mm.analysis.report.page import Table, render
from rapidnet_mm.analysis.report.semantic import SegmentationResults
from rapidnet_mm.display.curves import read_scalars
from rapidnet_mm.engine.metrics.semantic import scores
from tests.analysis.report.records import CLASSES, classifier, detector, run_of, segmenter
from tests.messages import assert_says, refusal

VOID = {'meta', 'img', 'br'}


class Page(HTMLParser):
    """What is in a page: elements in order, targets of links, and the text; all is closed."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.links, self.ids, self.open, self.text = [], [], [], [], ''
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)
        found = dict(attrs)
        self.links += [found[key] for key in ('href', 'src', 'xlink:href') if key in found]
        self.ids += [found['id']] if 'id' in found else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != 'style':
            self.text += data


def write(folder, *runs, score_thr=0.3):
    """Write a report, and return its page."""
    build.write_report(runs, folder, score_thr, ('rapidnet report <run>', '1.0'))
    return check(folder)


def check(folder):
    """The page in a folder. It is well-formed, needs no network, and its pictures are there."""
    text = (folder / build.PAGE).read_text()
    page = Page(text)
    assert 'script' not in page.elements
    assert not re.search(r'\bnan\b|\binf\b|None', page.text)
    for svg in re.findall(r'<svg.*?</svg>', text, re.DOTALL):
        ElementTree.fromstring(svg)
    for link in page.links:
        assert '://' not in link
        if link.startswith('#'):
            assert link[1:] in page.ids or f'id="{link[1:]}"' in text
        else:
            assert (folder / link).is_file()
    assert 'http' not in re.sub(r'xmlns(:xlink)?="[^"]*"', '', text)
    return page


MAKERS = {'detection': detector, 'segmentation': segmenter, 'classification': classifier}


@pytest.mark.parametrize('task', MAKERS)
def test_a_page_is_whole_and_shows_odd_names_as_text(task, tmp_path):
    record = MAKERS[task](tmp_path / 'data')
    page = write(tmp_path / 'out', run_of(record, tmp_path))
    assert_says(page.text, *CLASSES, 'rapidnet report <run>', 'Worst and best images', '<b>')
    pictures = [link for link in page.links if link.endswith('.jpg')]
    assert len(set(pictures)) == min(12, len([i for i in record['images'] if _is_judged(i)]))


def _is_judged(image):
    return image.get('boxes', True)


def test_metrics_have_values_of_the_test_and_intervals(tmp_path):
    record = detector(tmp_path / 'data')
    record['metrics'] = {'coco/bbox_mAP': 0.123456789012345, 'coco/bbox_mAP_l': -1.0}
    page = write(tmp_path / 'out', run_of(record, tmp_path))
    numbers = json.loads((tmp_path / 'out/numbers.json').read_text())['run']
    assert numbers['metrics'] == record['metrics']
    assert list(numbers['intervals']) == ['coco/bbox_mAP']  # there are no large objects
    assert_says(page.text, '0.1235', 'The metrics of the test differ')


@pytest.mark.parametrize(
    ('options', 'sentence'),
    [
        ({'images': 1}, 'tested on 1 image'),
        ({'detections': False}, 'detects nothing at all'),
        ({'truth': CLASSES[:2]}, f'no object of: {CLASSES[2]}'),
        ({'truth': CLASSES[:1], 'images': 1, 'detections': False}, 'no object of: $'),
    ],
)
def test_hardly_any_data_still_makes_a_page(options, sentence, tmp_path):
    page = write(tmp_path / 'out', run_of(detector(tmp_path / 'data', **options), tmp_path))
    assert sentence in page.text


def test_images_without_any_object_still_make_a_page(tmp_path):
    record = detector(tmp_path / 'data', images=2)
    file = tmp_path / 'data/annotations.json'
    file.write_text(json.dumps({**json.loads(file.read_text()), 'annotations': []}))
    page = write(tmp_path / 'out', run_of(record, tmp_path))
    assert 'There are no objects in these images' in page.text


@pytest.mark.parametrize('make', [segmenter, classifier])
def test_one_image_and_absent_classes_still_make_a_page(make, tmp_path):
    page = write(tmp_path / 'out', run_of(make(tmp_path / 'data', images=1), tmp_path))
    assert CLASSES[2] in page.text


def test_pictures_whose_image_is_gone_are_named(tmp_path):
    record = classifier(tmp_path / 'data')
    os.remove(record['images'][0]['path'])
    page = write(tmp_path / 'out', run_of(record, tmp_path))
    assert f'image {record["images"][0]["path"]} does not exist' in page.text


def test_the_samples_of_a_segmenter_are_those_of_its_metric(tmp_path):
    results = SegmentationResults(segmenter(tmp_path), 0.3)
    expected = scores(torch.tensor(results.total))
    assert results.samples['mIoU'].mean() == pytest.approx(expected['mIoU'], abs=0.02)
    assert results.samples['aAcc'].mean() == pytest.approx(expected['aAcc'], abs=0.02)
    one = SegmentationResults(segmenter(tmp_path, images=1), 0.3)
    expected = scores(torch.tensor(one.total))
    for name in ('mIoU', 'mAcc', 'aAcc'):
        np.testing.assert_allclose(one.samples[name], expected[name], rtol=1e-12)


def test_the_samples_of_a_classifier_have_the_spread_of_a_share(tmp_path):
    results = ClassResults(classifier(tmp_path, images=100), 0.3)
    share = results.record['metrics']['accuracy/top1'] / 100
    samples = results.sample_of('accuracy/top1') / 100
    assert samples.mean() == pytest.approx(share, abs=0.01)
    # The standard deviation of a share of 100 images.
    assert samples.std() == pytest.approx((share * (1 - share) / 100) ** 0.5, rel=0.1)


def test_several_runs_are_compared_on_the_same_images(tmp_path):
    first, second = (segmenter(tmp_path / 'data') for _ in range(2))
    second['metrics'] = dict(mIoU=0.5, mAcc=0.5, aAcc=0.7)
    for name, folder in (('a', '1'), ('b', '1'), ('b', '2')):
        _write_scalars(tmp_path / name / folder, int(folder))
    runs = [run_of(first, tmp_path, 'a'), run_of(second, tmp_path, 'b')]
    page = write(tmp_path / 'out', *runs)
    assert_says(page.text, 'b − a', '+0.1000 (0.0000 – 0.0000)', 'Joined, as a resumed training')
    assert len([link for link in page.links if link.startswith('pictures/2/')]) == 8


def _write_scalars(folder, epoch):
    (folder / 'vis_data').mkdir(parents=True)
    lines = [dict(loss=3 / step, lr=0.1, step=step) for step in (2 * epoch - 1, 2 * epoch)]
    lines.append(dict(mIoU=0.1 * epoch, step=epoch))
    (folder / 'vis_data/scalars.json').write_text('\n'.join(map(json.dumps, lines)))


def test_a_damaged_line_of_scalars_is_said_and_left_out(tmp_path):
    run = run_of(classifier(tmp_path / 'data'), tmp_path)
    _write_scalars(run.work.folder / '1', 1)
    file = run.work.folder / '1/vis_data/scalars.json'
    file.write_bytes(
        file.read_bytes() + b'\n{"loss": 0.5, "st\n[3]\n\n\xff\n{"step": "x", "loss": 1}'
    )
    assert read_scalars(run.work.folder)[0]['loss'] == [(1, 3.0), (2, 1.5)]
    (line,) = damaged_lines([run.work.folder])
    assert_says(line, file, '4, 5, 7')
    assert line in write(tmp_path / 'out', run).text


def test_many_points_become_the_means_of_neighbours():
    points = [(float(x), float(x % 2)) for x in range(10_000)]
    fewer = thinned(points)
    assert len(fewer) == 1000
    assert {y for _, y in fewer} == {0.5}
    assert fewer[-1][0] == points[-1][0]
    assert thinned(points[:7]) == points[:7]


def test_runs_of_other_classes_are_refused(tmp_path):
    first = classifier(tmp_path / 'data')
    second = {**first, 'classes': ['disc', CLASSES[1], 'star']}
    runs = [run_of(first, tmp_path, 'a'), run_of(second, tmp_path, 'b')]
    assert_says(refusal(build.check_same, runs), tmp_path / 'a', 'star', CLASSES[2], 'classes')
    second['classes'] = CLASSES[::-1]
    assert 'another order' in refusal(build.check_same, runs)


def test_a_page_of_somebody_else_stays(tmp_path):
    out = tmp_path / 'out'
    out.mkdir()
    (out / 'index.html').write_text('mine')
    assert_says(refusal(build.check_free, out), out, 'index.html')
    with pytest.raises(UserError):
        write(out, run_of(classifier(tmp_path / 'data'), tmp_path))
    assert (out / 'index.html').read_text() == 'mine'


def test_an_own_report_is_replaced(tmp_path):
    run = run_of(classifier(tmp_path / 'data'), tmp_path)
    write(tmp_path / 'out', run)
    build.check_free(tmp_path / 'out')
    write(tmp_path / 'out', run)


def test_work_directories_are_found_or_refused(tmp_path):
    assert 'does not exist' in refusal(work_dir.open_work_dir, tmp_path / 'nothing')
    (tmp_path / 'file').touch()
    assert 'is a file' in refusal(work_dir.open_work_dir, tmp_path / 'file')
    run, other = tmp_path / 'run', tmp_path / 'other'
    for folder in (run / '2026/vis_data', run / 'pictures', other):
        folder.mkdir(parents=True)
    assert 'no work directory' in refusal(work_dir.open_work_dir, other)
    (run / '2026/vis_data/config.py').touch()
    assert 'no checkpoint' in refusal(work_dir.open_work_dir, run)
    (run / 'best_old.pth').touch()
    os.utime(run / 'best_old.pth', (1, 1))
    (run / 'best_new.pth').touch()
    (run / 'epoch_9.pth').touch()
    found = work_dir.open_work_dir(run)
    assert (found.checkpoint, found.reason) == (run / 'best_new.pth', 'the best of the training')
    assert found.config == run / '2026/vis_data/config.py'
    chosen = work_dir.open_work_dir(run, str(run / 'epoch_9.pth'))
    assert chosen.checkpoint == run / 'epoch_9.pth'
    assert 'missing.pth' in refusal(work_dir.open_work_dir, run, str(run / 'missing.pth'))
    assert str(run) in refusal(work_dir.open_work_dir, tmp_path)
    assert str(run) in refusal(work_dir.open_work_dir, run / 'pictures')


def test_work_directories_of_the_same_name_are_told_apart(tmp_path):
    works = [work_dir.WorkDir(tmp_path / a / 'run', None, None, '') for a in ('x', 'y')]
    assert build.names_of(works) == ['x/run', 'y/run']
    assert 'twice' in refusal(build.names_of, [works[0], works[0]])


def test_control_characters_and_broken_names_do_not_break_the_page():
    odd = 'a\x00b\ud800c & "d"'
    data = render(odd, [odd], [build.Section(odd, 'x', [Table([odd], [[odd]])])])
    assert 'a\ufffdb\ufffdc & "d"' in Page(data.decode()).text
