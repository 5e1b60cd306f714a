"""Configs in YAML and JSON run no code."""

import json

import pytest

from rapidnet_mm.engine.config import config_file, load_config
from tests.messages import assert_says, refusal

TAGS = [
    '!!python/object/apply:os.system ["touch MARKER"]',
    '!!python/object/new:os.system ["touch MARKER"]',
    '!!python/name:os.system',
    '!!python/module:os',
    '!!python/object/apply:builtins.open ["MARKER", "w"]',
    '!!python/tuple [1, 2]',
]


@pytest.mark.parametrize('tag', TAGS)
@pytest.mark.parametrize('name', ['x.yaml', 'x.yml'])
@pytest.mark.parametrize('is_base', [False, True])
def test_a_tag_for_python_is_refused_and_runs_nothing(tag, name, is_base, tmp_path):
    marker = tmp_path / 'marker'
    path = tmp_path / name
    path.write_text('a: ' + tag.replace('MARKER', str(marker)) + '\n')
    if is_base:
        (tmp_path / 'top.yaml').write_text(f'_base_: {name}\n')
        path = tmp_path / 'top.yaml'
    assert_says(refusal(load_config, path), path, 'python/')
    assert not marker.exists()


TYPES = [
    ('subprocess.check_output', True),
    ('os.system', True),
    ('builtins.exec', True),
    ('torch.hub.load', True),
    ('torch.load', True),
    ('mmengine.runner.runner.os.system', True),
    ('mmengine.utils.get_object_from_string', True),
    ('mmdet.RetinaNet', False),
    ('mmdet.models.detectors.retinanet.RetinaNet', False),
    ('torch.nn.ReLU', False),
    ('torch.optim.SGD', False),
    ('RetinaNet', False),
]


@pytest.mark.parametrize(('name', 'is_refused'), TYPES)
@pytest.mark.parametrize('suffix', ['.json', '.yaml'])
def test_a_type_that_is_not_registered_is_refused(name, is_refused, suffix, tmp_path):
    path = tmp_path / f'x{suffix}'
    path.write_text(json.dumps({'model': {'parts': [{'type': name}]}}))  # YAML reads JSON
    if is_refused:
        assert_says(refusal(load_config, path), path, name, 'not registered')
    else:
        assert load_config(path).model.parts[0].type == name


def test_a_config_of_data_may_stand_on_one_of_ours(tmp_path):
    path = tmp_path / 'x.yaml'
    base = config_file('maskrcnn_rapidnet_ti_shapes')
    path.write_text(f'_base_: {base}\nrandomness: {{seed: 3}}\n')
    cfg = load_config(path)
    assert cfg.randomness.seed == 3
    assert cfg.model.backbone.type == 'RapidNet'


@pytest.mark.parametrize('suffix', ['.json', '.yaml'])
@pytest.mark.parametrize(
    'content',
    [
        {'_base_': 'evil.py'},
        {'_base_': ['evil.py']},
        {'custom_imports': {'imports': ['evil']}},
        {'custom_imports': {'imports': 'evil', 'allow_failed_imports': True}},
        {'custom_imports': {'imports': ['mmdet', 'evil']}},
    ],
)
def test_a_config_of_data_names_no_code_beside_it(suffix, content, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / 'evil.py').write_text("open('ran', 'w').close()\n")
    (tmp_path / f'x{suffix}').write_text(json.dumps(content))
    assert_says(refusal(load_config, tmp_path / f'x{suffix}'), f'x{suffix}', '.py config')
    assert not (tmp_path / 'ran').exists()


def test_a_config_of_data_may_import_this_package(tmp_path):
    (tmp_path / 'x.json').write_text(json.dumps({'custom_imports': {'imports': ['rapidnet_mm']}}))
    assert load_config(tmp_path / 'x.json').custom_imports.imports == ['rapidnet_mm']
