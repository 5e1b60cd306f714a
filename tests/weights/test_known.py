"""The table of known weights: what it says is complete, consistent, and never guessed."""

import re
from pathlib import Path

import pytest
import yaml
from mmengine.config import Config

from rapidnet_mm.weights.known import KNOWN, entry_of, file_names

CONFIGS = Path(__file__).parents[2] / 'configs'
PUBLISHED = {name: entry for name, entry in KNOWN.items() if entry.place}


@pytest.mark.parametrize('name', KNOWN)
def test_an_entry_says_what_it_is_and_where(name):
    entry = KNOWN[name]
    assert re.fullmatch(r'[a-z0-9_]+', name)
    assert entry.holds in ('classifier', 'detector', 'segmenter')
    assert entry.model
    assert entry.place or entry.note
    assert re.fullmatch(r'([0-9a-f]{8}|[0-9a-f]{64})?', entry.sha256)
    assert not entry.place or entry.url.startswith('https://')
    for place in filter(None, (entry.place, *entry.others)):
        assert re.match(r'(hf://[^/]+/[^/]+/|https://[^/]+/).+', place)


@pytest.mark.parametrize('name', PUBLISHED)
def test_a_hash_in_the_name_of_the_file_is_the_hash_of_the_entry(name):
    entry = KNOWN[name]
    match = re.search(r'-([0-9a-f]{8})\.pth$', entry.place)
    assert (match[1] if match else entry.sha256) == entry.sha256


def test_no_two_names_share_a_place_or_a_local_file():
    places = [entry.place for entry in PUBLISHED.values()]
    assert len(set(places)) == len(places)
    files = [file for name, entry in KNOWN.items() for file in file_names(name, entry)]
    assert len(set(files)) == len(files)
    assert 'model.safetensors' not in files


def test_a_place_becomes_the_address_of_a_browser():
    assert KNOWN['rapidnet_m_maskrcnn'].url == (
        'https://huggingface.co/SLDGroup/RapidNet/resolve/main/Detection/RapidNet_M_Detection.pth'
    )
    assert KNOWN['resnet50'].url == 'https://download.pytorch.org/models/resnet50-0676ba61.pth'


def test_names_of_timm_are_entries_with_what_the_table_knows():
    assert entry_of('timm/rexnet_100.nav_in1k') is KNOWN['rexnet_100']
    assert entry_of('timm/other.in1k').place == 'hf://timm/other.in1k/model.safetensors'
    for text in ('timm/', 'timm/a/b', 'timm/x.pth', 'x', 'other/rexnet_100', 'timm'):
        assert entry_of(text) is None


def test_only_google_drive_needs_a_person():
    by_hand = {name for name, entry in PUBLISHED.items() if not entry.can_be_fetched}
    assert by_hand == {f'rexnet_lite_{width}' for width in (100, 130, 150, 200)}


def test_metafiles_name_the_weights_of_their_models_and_no_others():
    listed = {}
    for path in CONFIGS.glob('*/metafile.yml'):
        for model in yaml.safe_load(path.read_text())['Models']:
            if 'Weights' in model:
                listed[model['Config']] = model['Weights']
    entries = [e for e in PUBLISHED.values() if e.config and not e.only_starts]
    expected = {f'configs/{e.config}.py': e.url for e in entries if e.can_be_fetched}
    assert listed == expected


@pytest.mark.parametrize('name', [name for name, entry in KNOWN.items() if entry.config])
def test_the_config_of_an_entry_exists_and_has_its_kind_of_model(name):
    entry = KNOWN[name]
    path = CONFIGS / f'{entry.config}.py'
    assert path.is_file()
    kinds = {'detector': 'mmdet', 'segmenter': 'mmseg', 'classifier': 'mmpretrain'}
    if not entry.only_starts:
        assert Config.fromfile(path).default_scope == kinds[entry.holds]
    version = Config.fromfile(path).model.get('backbone', {}).get('version', 'paper')
    assert ('version v2' in entry.model) == (version == 'v2')


def test_mim_s_own_parser_finds_the_weights():
    """What ``mim download`` and ``mim search`` read, where that parser is installed."""
    loader = pytest.importorskip('modelindex.load_model_index')
    index = loader.load(str(CONFIGS.parent / 'model-index.yml'))
    index.build_models_with_collections()
    weights = {model.config: model.weights for model in index.models if model.weights}
    assert weights['configs/imagenet/rapidnet_m_in1k.py'] == (KNOWN['rapidnet_m'].url)
    assert len(weights) == sum(
        bool(e.config) and e.can_be_fetched and not e.only_starts for e in KNOWN.values()
    )
