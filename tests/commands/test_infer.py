"""The command ``infer`` in this process: what it writes, reports and skips."""

import json
import os
import shutil
import signal

import cv2
import numpy as np
import pytest
import torch

from rapidnet_mm import Inferencer, UserError
from rapidnet_mm.commands.main import main
from rapidnet_mm.display import videos
from rapidnet_mm.display.images import write_image
from rapidnet_mm.engine.config import build_model, load_config
from tests.clips import cut, frame, write_clip

CONFIG = 'imagenet/rapidnet_ti_shapes'
CLASSES = 'test_dataloader.dataset.metainfo.classes=[disc,square,triangle,star,cross]'


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    """A classifier with random weights: the smallest model."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp('model') / 'random.pth'
    state = build_model(load_config(CONFIG), device='cpu').state_dict()
    meta = dict(dataset_meta=dict(classes=('disc', 'square', 'triangle', 'star', 'cross')))
    torch.save({'state_dict': state, 'meta': meta}, path)
    return str(path)


@pytest.fixture
def infer(checkpoint, tmp_path, monkeypatch, capfd):
    """Runs the command in an empty folder; gives its status and what it printed."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments, out='out'):
        words = ['infer', CONFIG, checkpoint, *map(str, arguments), '--out-dir', out]
        with pytest.raises(SystemExit) as end:
            main([*words, '--device', 'cpu'])
        printed = capfd.readouterr()
        assert 'Traceback' not in printed.err
        return end.value.code, printed.out + printed.err

    return run


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def files_in(folder):
    return {p.relative_to(folder).as_posix() for p in folder.rglob('*') if p.is_file()}


def test_a_video_comes_back_with_a_line_for_each_frame(infer, tmp_path):
    write_clip(tmp_path / 'a.mp4', 5, 12.5)
    status, printed = infer('a.mp4', '--batch-size', 2)
    assert status in (0, None), printed
    assert '5/5' in printed
    assert '1 of 1 videos done' in printed
    assert files_in(tmp_path / 'out') == {'a.mp4', 'a.mp4.jsonl'}
    video = videos.VideoReader(tmp_path / 'out/a.mp4')
    drawn = list(video)
    assert (len(drawn), video.rate, drawn[0].shape) == (5, 12.5, (48, 64, 3))
    assert np.abs(drawn[0][:20].astype(int) - frame(0)[:20]).mean() > 20  # the names of classes
    lines = lines_of(tmp_path / 'out/a.mp4.jsonl')
    assert [(line['frame'], line['time']) for line in lines] == [(k, k * 0.08) for k in range(5)]
    assert {line['height'] for line in lines} == {48}
    infer('a.mp4', out='single')
    for one, other in zip(lines_of(tmp_path / 'single/a.mp4.jsonl'), lines, strict=True):
        assert [c['name'] for c in one['classes']] == [c['name'] for c in other['classes']]
        scores = [[c['score'] for c in line['classes']] for line in (one, other)]
        np.testing.assert_allclose(*scores, atol=2e-4)  # they are rounded to four digits


def test_a_damaged_end_is_reported_and_the_frames_before_it_stay(infer, tmp_path):
    cut(write_clip(tmp_path / 'a.avi', 30))
    status, printed = infer('a.avi')
    assert status == 1
    assert 'a.avi is damaged' in printed
    assert '0 of 1 videos done' in printed
    lines = lines_of(tmp_path / 'out/a.avi.jsonl')
    assert 0 < len(lines) < 25
    assert len(list(videos.VideoReader(tmp_path / 'out/a.avi'))) == len(lines)


def test_what_is_broken_or_empty_is_skipped_and_the_rest_is_done(infer, tmp_path):
    write_image(frame(0), tmp_path / 'in/a.jpg')
    write_image(frame(1), tmp_path / 'in/deep/b.png')
    (tmp_path / 'in/broken.jpg').write_bytes(b'\xff\xd8 no picture')
    (tmp_path / 'in/broken.mp4').write_bytes(b'no video')
    (tmp_path / 'empty').mkdir()
    status, printed = infer('empty', 'in', '*.bmp', '--batch-size', 3)
    assert status == 1
    for said in ('folder empty holds no', '*.bmp matches no', 'broken.jpg is', 'broken.mp4 is'):
        assert said in printed
    assert '2 of 3 images and 0 of 1 videos done' in printed
    done = {'a.jpg', 'a.jpg.json', 'deep/b.png', 'deep/b.png.json'}
    assert files_in(tmp_path / 'out') == done


def test_a_pattern_gives_images_with_their_folders_and_notes(infer, tmp_path):
    for name in ('in/a/x.png', 'in/b/x.png'):
        write_image(frame(0), tmp_path / name)
    cv2.imwritemulti(str(tmp_path / 'in/x.tif'), [frame(0), frame(1)])
    status, printed = infer('in/**/x.*')
    assert not status, printed
    assert 'x.tif has 2 pages; only the first' in printed
    pictures = {name for name in files_in(tmp_path / 'out') if not name.endswith('.json')}
    assert pictures == {'a/x.png', 'b/x.png', 'x.tif'}


def test_an_image_that_the_model_cannot_use_does_not_spoil_its_batch(infer, tmp_path, monkeypatch):
    prepare = Inferencer._prepared

    def refusing(self, pixels):
        if pixels.shape[0] == 1:
            raise UserError('an image of 90 x 1 cannot be resized for the model')
        return prepare(self, pixels)

    monkeypatch.setattr(Inferencer, '_prepared', refusing)
    write_image(frame(0), tmp_path / 'in/a.png')
    write_image(np.zeros((1, 90, 3), np.uint8), tmp_path / 'in/line.png')
    status, printed = infer('in', '--batch-size', 2)
    assert status == 1
    assert 'in/line.png: an image of 90 x 1 cannot' in printed
    assert files_in(tmp_path / 'out') == {'a.png', 'a.png.json'}


def test_a_video_of_the_user_is_not_replaced(infer, tmp_path):
    write_clip(tmp_path / 'a.mp4', 2)
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out/a.mp4.jsonl').write_text('mine')
    status, printed = infer('a.mp4')
    assert status == 2
    assert 'a.mp4.jsonl is there already' in printed
    assert files_in(tmp_path / 'out') == {'a.mp4.jsonl'}
    shutil.rmtree(tmp_path / 'out')
    for _ in range(2):  # our own are
        assert not infer('a.mp4')[0]


class Camera:
    """A camera in OpenCV's place. Pressing Ctrl-C is part of its last frame."""

    last = 10**9

    def __init__(self, number):
        assert number == 3
        self.count = 0

    def isOpened(self):
        return True

    def get(self, key):
        return {cv2.CAP_PROP_FPS: 1000.0}.get(key, 0.0)

    def read(self):
        self.count += 1
        if self.count == self.last:
            os.kill(os.getpid(), signal.SIGINT)
        return True, frame(self.count % 5)

    def release(self):
        pass


@pytest.mark.parametrize(('options', 'last', 'count'), [(['--frames', 12], 0, 12), ([], 4, 4)])
def test_a_camera_runs_until_it_is_stopped(options, last, count, infer, tmp_path, monkeypatch):
    capture = cv2.VideoCapture
    fake = type('Fake', (Camera,), {'last': last})
    monkeypatch.setattr(
        videos.cv2, 'VideoCapture', lambda x: fake(x) if isinstance(x, int) else capture(x)
    )
    status, printed = infer('camera:3', *options)
    assert not status, printed
    times = [line['time'] for line in lines_of(tmp_path / 'out/camera3.mp4.jsonl')]
    assert len(times) == count
    assert times == sorted(times)
    assert times[-1] > 0
    written = capture(str(tmp_path / 'out/camera3.mp4'))
    assert written.get(cv2.CAP_PROP_FRAME_COUNT) == count
    if count > 3:  # the video takes as long as it took the model
        rate = written.get(cv2.CAP_PROP_FPS)
        assert rate < 900
        assert (count - 2) / rate == pytest.approx(times[-1] - times[1], rel=0.8)


def test_ctrl_c_during_a_video_leaves_nothing_half_done(infer, tmp_path, monkeypatch):
    write_clip(tmp_path / 'a.mp4', 6)
    read = videos.VideoReader.__iter__

    def interrupted(self):
        for number, pixels in enumerate(read(self)):
            if number == 3:
                raise KeyboardInterrupt
            yield pixels

    monkeypatch.setattr(videos.VideoReader, '__iter__', interrupted)
    status, _ = infer('a.mp4')
    assert status == 130
    assert files_in(tmp_path / 'out') == set()
