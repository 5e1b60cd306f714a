"""Videos: rates, sizes, rotation, broken ends."""

import numpy as np
import pytest

from rapidnet_mm import UserError
from rapidnet_mm.display.videos import WRITTEN_SUFFIXES, VideoReader, VideoWriter, video_name
from tests.clips import CORNER, cut, frame, turn, write_clip
from tests.messages import assert_says, refusal


@pytest.mark.parametrize('suffix', WRITTEN_SUFFIXES)
@pytest.mark.parametrize('rate', [12.5, 30000 / 1001])
def test_a_video_comes_back_with_its_frames_and_rate(suffix, rate, tmp_path):
    video = VideoReader(write_clip(tmp_path / f'a{suffix}', 7, rate))
    frames = list(video)
    assert len(frames) == video.count == 7
    assert video.rate == pytest.approx(rate, rel=1e-4)
    assert video.fault is None
    for number, pixels in enumerate(frames):
        assert np.abs(pixels.astype(int) - frame(number)).mean() < 12  # the codec loses some


def test_odd_sides_lose_no_pixel(tmp_path):
    (pixels,) = VideoReader(write_clip(tmp_path / 'a.mp4', 1, shape=(47, 63)))
    assert pixels.shape == (48, 64, 3)
    assert np.abs(pixels[:47, :63].astype(int) - frame(0, (47, 63))).mean() < 12


def test_the_rotation_of_a_telephone_is_honoured(tmp_path):
    pixels = next(iter(VideoReader(turn(write_clip(tmp_path / 'a.mp4')))))
    assert pixels.shape == (64, 48, 3)
    assert pixels[:, ::-1][CORNER].mean() > 240  # the corner is now on the right
    assert pixels[CORNER].mean() < 50


@pytest.mark.parametrize('suffix', ['.avi', '.mkv'])
def test_a_broken_end_is_reported_after_what_can_be_read(suffix, tmp_path):
    path = cut(write_clip(tmp_path / f'a{suffix}', 30))
    video = VideoReader(path)
    number = len(list(video))
    assert 0 < number < 25
    assert_says(video.fault, path, 'damaged', f'{number} of 30')


def test_after_a_damaged_place_the_frames_are_read_again(tmp_path):
    path = write_clip(tmp_path / 'a.mp4', 30)
    data = bytearray(path.read_bytes())
    start = data.find(b'mdat') + len(data) // 3
    for place in range(start, start + len(data) // 8):
        data[place] ^= 0x5A
    path.write_bytes(data)
    video = VideoReader(path)
    frames = list(video)
    assert 15 < len(frames) <= 30
    assert np.abs(frames[-1].astype(int) - frame(29)).mean() < 40  # the last, not one before


@pytest.mark.parametrize(
    ('content', 'said'),
    [(b'', 'is empty'), (b'text' * 99, 'not a video'), (None, 'cut off')],
)
def test_what_is_no_video_is_one_line(content, said, tmp_path, capfd):
    path = tmp_path / 'a.mp4'
    if content is None:
        cut(write_clip(path))  # the index is at the end
    else:
        path.write_bytes(content)
    assert_says(refusal(VideoReader, path), path, said)
    assert capfd.readouterr() == ('', '')


def test_a_camera_that_is_not_there_is_one_line(tmp_path, capfd):
    assert_says(refusal(VideoReader, tmp_path / 'camera:97', 97), 'camera:97', 'no such camera')
    assert capfd.readouterr() == ('', '')


def test_a_video_that_cannot_be_written_is_an_error(tmp_path):
    line = refusal(VideoWriter, tmp_path / 'missing/a.mp4', 25.0, (48, 64))
    assert_says(line, '64 x 48', '.mp4')


def test_a_video_that_a_full_disk_cuts_off_is_an_error(tmp_path):
    writer = VideoWriter(tmp_path / 'a.mp4', 25.0, (48, 64))
    writer.write(frame(0))
    writer.count += 5  # frames that OpenCV lost without a word
    with pytest.raises(UserError, match=r'only 1 of 6 frames .* disk full'):
        writer.close()


def test_the_name_of_a_result_has_an_ending_that_can_be_written(tmp_path):
    for name in ('a.webm', 'a.MOV', 'camera0'):
        write_clip(video_name(tmp_path / name), 1)
    assert {path.name for path in tmp_path.iterdir()} == {'a.webm.mp4', 'a.MOV', 'camera0.mp4'}
