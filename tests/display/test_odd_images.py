"""Images of all kinds are read as the loader of a training reads them, or refused in one line."""

import warnings

import mmcv
import numpy as np
import pytest
from PIL import Image

from rapidnet_mm.display.images import frames_note, read_image
from tests.messages import assert_says, refusal

RAMP = np.linspace(0, 255, 64).astype(np.uint8)[None].repeat(48, 0)
COLOUR = Image.fromarray(np.stack([RAMP, 255 - RAMP, RAMP // 2], -1))


def with_alpha():
    image = COLOUR.copy()
    image.putalpha(Image.fromarray(np.where(RAMP > 128, 0, 255).astype(np.uint8)))
    return image


def with_orientation(path):
    exif = Image.Exif()
    exif[274] = 6
    COLOUR.save(path, exif=exif)


WRITERS = {
    'grey.png': lambda path: Image.fromarray(RAMP).save(path),
    'grey_alpha.png': lambda path: Image.fromarray(RAMP).convert('LA').save(path),
    '16_bit.png': lambda path: Image.fromarray(RAMP.astype(np.uint16) * 257).save(path),
    '16_bit.tif': lambda path: Image.fromarray(RAMP.astype(np.uint16) * 257).save(path),
    'one_bit.png': lambda path: COLOUR.convert('1').save(path),
    'one_bit.tif': lambda path: COLOUR.convert('1').save(path),
    'palette.png': lambda path: COLOUR.quantize(32).save(path),
    'palette_transparent.png': lambda path: COLOUR.quantize(32).save(path, transparency=0),
    'palette.gif': lambda path: COLOUR.quantize(32).save(path),
    'alpha.png': lambda path: with_alpha().save(path),
    'alpha.webp': lambda path: with_alpha().save(path, lossless=True, exact=True),
    'cmyk.jpg': lambda path: COLOUR.convert('CMYK').save(path),
    'turned.jpg': with_orientation,
    'plain.ppm': lambda path: COLOUR.save(path),
}
GREY = ('grey', '16_bit', 'one_bit')


@pytest.mark.parametrize('name', WRITERS)
def test_every_kind_is_read_as_a_training_reads_it(name, tmp_path):
    path = tmp_path / name
    WRITERS[name](path)
    pixels = read_image(path)
    np.testing.assert_array_equal(pixels, mmcv.imread(str(path)))
    assert pixels.dtype == np.uint8
    assert pixels.shape == ((64, 48, 3) if name == 'turned.jpg' else (48, 64, 3))
    if name.startswith(GREY):
        assert (pixels == pixels[..., :1]).all()
    elif name.startswith(('alpha', 'palette')):  # transparency is left out, the colour is there
        assert np.abs(pixels[..., ::-1].astype(int) - np.asarray(COLOUR)).mean() < 12


@pytest.mark.parametrize(
    ('name', 'unit'),
    [('a.tif', 'pages'), ('a.gif', 'frames'), ('a.webp', 'frames'), ('a.png', 'frames')],
)
def test_of_several_frames_the_first_is_read_and_the_note_says_so(name, unit, tmp_path):
    path = tmp_path / name
    options = dict(lossless=True) if name == 'a.webp' else {}
    others = [COLOUR.rotate(180), COLOUR.rotate(90)]
    COLOUR.save(path, save_all=True, append_images=others, **options)
    assert np.abs(read_image(path)[..., ::-1].astype(int) - np.asarray(COLOUR)).mean() < 12
    assert_says(frames_note(path), path, f'3 {unit}', 'first')
    COLOUR.save(path)
    assert frames_note(path) is None


def test_a_picture_that_brings_others_along_needs_no_note(tmp_path):
    path = tmp_path / 'phone.jpg'
    COLOUR.save(path, 'MPO', save_all=True, append_images=[COLOUR.resize((8, 6))])
    assert frames_note(path) is None


def test_a_float_image_is_refused_with_the_way_out(tmp_path, capfd):
    path = tmp_path / 'depth.tif'
    Image.fromarray(RAMP.astype(np.float32)).save(path)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        assert_says(refusal(read_image, path), path, '32 bits', '8 or 16 bits')
    assert capfd.readouterr() == ('', '')


def test_a_format_that_opencv_lacks_is_named(tmp_path):
    COLOUR.save(tmp_path / 'a.tga')
    assert_says(refusal(read_image, tmp_path / 'a.tga'), 'a.tga', 'TGA')
