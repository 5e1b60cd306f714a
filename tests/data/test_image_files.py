from io import BytesIO

import cv2
import numpy as np
import pytest
from PIL import Image

from rapidnet_mm.data.checks import image_files as files
from rapidnet_mm.data.checks.image_files import check_images
from tests.messages import assert_says, refusal

PIXELS = np.random.default_rng(0).integers(0, 255, (40, 48, 3), np.uint8)


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / 'pictures'
    folder.mkdir()
    paths = [folder / f'{name}.{kind}' for name in 'abcd' for kind in ('jpg', 'png')]
    for path in paths:
        cv2.imwrite(str(path), PIXELS)
    return paths


def test_good_images_pass(images):
    check_images(images)


@pytest.mark.parametrize('kind', ['bmp', 'webp', 'tiff', 'ppm', 'jp2'])
def test_other_formats_that_opencv_reads_pass(tmp_path, kind):
    path = tmp_path / f'a.{kind}'
    cv2.imwrite(str(path), PIXELS)
    check_images([path])


def test_grey_progressive_and_misnamed_images_pass(tmp_path):
    Image.fromarray(PIXELS[..., 0]).save(tmp_path / 'grey.jpg')
    Image.fromarray(PIXELS).save(tmp_path / 'progressive.jpg', progressive=True)
    Image.fromarray(PIXELS).save(tmp_path / 'a_png.jpg', format='png')
    check_images(list(tmp_path.glob('*.jpg')))


@pytest.mark.parametrize('kind', ['jpg', 'png'])
@pytest.mark.parametrize('size', [10, 200_000])
def test_bytes_after_the_end_of_an_image_are_no_fault(tmp_path, kind, size):
    path = tmp_path / f'a.{kind}'
    path.write_bytes(cv2.imencode(f'.{kind}', PIXELS)[1].tobytes() + bytes(size))
    check_images([path])


@pytest.mark.parametrize('kind', ['jpg', 'png', 'webp'])
@pytest.mark.parametrize('kept', [0.1, 0.5, 0.99])
def test_truncated_images_are_found(tmp_path, kind, kept):
    path = tmp_path / f'a.{kind}'
    data = cv2.imencode(f'.{kind}', PIXELS)[1].tobytes()
    path.write_bytes(data[: int(kept * len(data))])
    assert_says(refusal(check_images, [path]), f'1 of 1 images in {tmp_path}', f'a.{kind} (trunc')


def test_the_end_of_a_thumbnail_is_not_the_end_of_the_image(tmp_path):
    picture = BytesIO()
    Image.fromarray(PIXELS).save(picture, 'jpeg')
    data = picture.getvalue()
    thumbnail = b'Exif\0\0' + data
    header = b'\xff\xd8\xff\xe1' + (2 + len(thumbnail)).to_bytes(2, 'big') + thumbnail
    path = tmp_path / 'a.jpg'
    path.write_bytes(header + data[2:])
    check_images([path])
    path.write_bytes(header + data[2 : len(data) // 2])
    assert 'a.jpg (truncated)' in refusal(check_images, [path])


def test_empty_missing_and_other_files_have_different_messages(images):
    images[0].write_bytes(b'')
    images[1].unlink()
    images[2].write_text('<html>404</html>')
    line = refusal(check_images, images)
    assert_says(line, f'3 of 8 images in {images[0].parent}', 'take them out of the annotations')
    assert_says(line, 'a.jpg (empty)', 'a.png (missing)', 'b.jpg (not an image)')


def test_only_the_first_bad_images_are_named(images):
    for path in images[:5]:
        path.unlink()
    line = refusal(check_images, images)
    assert_says(line, 'a.jpg', 'a.png', 'b.jpg', ' and 2 more')
    assert 'b.png' not in line


def test_a_name_in_another_case_is_pointed_out(images):
    images[0].rename(images[0].with_suffix('.JPG'))
    if images[0].exists():
        pytest.skip('this file system does not tell cases apart')
    assert 'a.jpg (missing, but a.JPG is there)' in refusal(check_images, images)


def test_a_bar_shows_how_far_a_long_check_is(images, monkeypatch, capsys):
    monkeypatch.setenv('FORCE_COLOR', '1')  # rich draws no bar where nobody looks
    check_images(images, remember=False)
    assert capsys.readouterr().err == ''
    monkeypatch.setattr(files, 'PATIENCE', -1.0)
    check_images(images, remember=False)
    assert 'checking 8 images' in capsys.readouterr().err


# Remembering


@pytest.fixture
def reads(monkeypatch):
    """The image files that were read."""
    calls = []
    read = files.look_at
    monkeypatch.setattr(
        files, 'look_at', lambda path, whole: calls.append(path) or read(path, whole)
    )
    return calls


def test_good_images_are_not_read_again_until_one_changes(images, reads):
    check_images(images)
    assert len(reads) == 8
    check_images(images)
    assert len(reads) == 8
    images[3].write_bytes(images[3].read_bytes()[:-20])
    assert 'b.png (truncated)' in refusal(check_images, images)
    assert len(reads) == 9  # the changed one only


def test_bad_images_are_not_remembered(images, reads):
    images[0].write_bytes(b'')
    for _ in range(2):
        refusal(check_images, images)
    assert len(reads) == 9  # the bad one again


def test_without_remembering_everything_is_read_and_nothing_written(images, reads, cache):
    for _ in range(2):
        check_images(images, remember=False)
    assert len(reads) == 16
    assert not cache.exists()


def test_where_nothing_can_be_written_nothing_is_remembered(images, reads, cache):
    cache.parent.write_text('a file, where the folder should be')
    for _ in range(2):
        check_images(images)
    assert len(reads) == 16


def test_a_damaged_note_does_not_count(images, reads, cache):
    check_images(images)
    for file in cache.iterdir():
        file.write_text('{')
    check_images(images)
    assert len(reads) == 16


def saved(path, pixels, **options):
    """A JPEG of many kilobytes, as cameras and editors write it."""
    Image.fromarray(pixels).save(path, 'jpeg', **options)
    return path


NOISE = np.random.default_rng(1).integers(0, 255, (300, 400, 3), np.uint8)
OPTIONS = [{}, dict(optimize=True), dict(subsampling=0, quality=95)]
PROGRESSIVE = [dict(progressive=True), dict(optimize=True, progressive=True)]


@pytest.mark.parametrize('options', OPTIONS)
@pytest.mark.parametrize('place', [0.2, 0.6, 0.9])
def test_a_hole_of_zeros_in_a_jpeg_is_found(tmp_path, options, place):
    path = saved(tmp_path / 'a.jpg', NOISE, **options)
    data = bytearray(path.read_bytes())
    start = int(len(data) * place)
    data[start : start + 512] = bytes(512)
    path.write_bytes(data)
    assert f'a.jpg (damaged: a hole of zeros at byte {start}' in refusal(check_images, [path])


def test_a_hole_in_the_tables_of_a_jpeg_is_found(tmp_path):
    path = saved(tmp_path / 'a.jpg', NOISE)
    data = bytearray(path.read_bytes())
    start = data.index(b'\xff\xdb') + 8
    data[start : start + 64] = bytes(64)
    path.write_bytes(data)
    assert f'a hole of zeros at byte {start}' in refusal(check_images, [path])


@pytest.mark.parametrize('options', OPTIONS + PROGRESSIVE)
@pytest.mark.parametrize('colour', [0, 128, 255])
def test_a_plain_jpeg_has_no_hole(tmp_path, options, colour):
    """Its tables give one colour the shortest code, which has zeros only."""
    pixels = np.full((900, 1200, 3), colour, np.uint8)
    pixels[:, :20] = 255 - colour
    check_images([saved(tmp_path / 'a.jpg', pixels, **options)])
