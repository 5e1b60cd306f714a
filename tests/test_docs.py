"""What the README tells people to write works."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rapidnet_mm.data.checks.config import check_data
from rapidnet_mm.engine import config as engine_config

REPOSITORY = Path(__file__).parents[1]
pytestmark = pytest.mark.openmmlab


def example(base):
    """The one code block that builds on a config."""
    blocks = re.findall(r'```python\n(.*?)```', (REPOSITORY / 'README.md').read_text(), re.DOTALL)
    (found,) = [block for block in blocks if block.startswith(f"_base_ = ['{base}']")]
    return found.replace(f"'{base}'", repr(str(REPOSITORY / 'configs' / base)))


def test_the_config_for_own_label_maps_fits_such_data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for split in ('training', 'validation'):
        for folder, name in (('images', 'a.jpg'), ('annotations', 'a.png')):
            path = Path('data/streets', folder, split, name)
            path.parent.mkdir(parents=True)
            Image.fromarray(np.resize(np.array([0, 1, 255], np.uint8), (40, 50))).save(path)
    Path('mine.py').write_text(example('semfpn_rapidnet_ti_camvid.py'))
    cfg = engine_config.load_config('mine.py')
    check_data(cfg, ('train', 'val', 'test'))
    for split in ('train', 'val', 'test'):
        assert cfg[f'{split}_dataloader'].dataset.metainfo.classes == ('road', 'car')
    assert cfg.model.decode_head.num_classes == 2
