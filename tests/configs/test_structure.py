"""The files in configs/ build on each other in one way: model, data set, schedule, runtime."""

import ast
from pathlib import Path

import pytest
from mmengine.config import Config

pytestmark = pytest.mark.openmmlab
CONFIGS = Path(__file__).parents[2] / 'configs'
BASES = sorted((CONFIGS / '_base_').rglob('*.py'))
LEAVES = sorted(path for path in CONFIGS.rglob('*.py') if path not in BASES)
SCRATCH = [path for path in LEAVES if path.stem.endswith('_scratch')]
assert BASES
assert LEAVES
assert SCRATCH


def on(paths):
    ids = [path.relative_to(CONFIGS).with_suffix('').as_posix() for path in paths]
    return pytest.mark.parametrize('path', paths, ids=ids)


def listed_bases(path):
    """The files in a config's own list of bases, as paths relative to configs/."""
    lists = [
        ast.literal_eval(node.value)
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.Assign) and node.targets[0].id == '_base_'
    ]
    files = [(path.parent / name).resolve() for names in lists for name in names]
    return [file.relative_to(CONFIGS.resolve()).as_posix() for file in files]


def kind(base):
    """'models', 'datasets', 'schedules' or 'runtime' for a file in _base_, else 'leaf'."""
    top, *rest = Path(base).with_suffix('').parts
    if top != '_base_':
        return 'leaf'
    return rest[0].split('_')[0]  # a folder, or runtime_*.py


def keys(node):
    """All keys of nested mappings and lists."""
    if isinstance(node, dict):
        return set(node).union(*map(keys, node.values()))
    if isinstance(node, list | tuple):
        return set().union(*map(keys, node))
    return set()


@on(LEAVES)
def test_a_leaf_lists_model_dataset_schedule_runtime(path):
    kinds = [kind(base) for base in listed_bases(path)]
    assert kinds in (['models', 'datasets', 'schedules', 'runtime'], ['leaf'])


@on(BASES)
def test_a_base_inherits_its_own_kind_only(path):
    here = kind(path.relative_to(CONFIGS).as_posix())
    assert here in ('models', 'datasets', 'schedules', 'runtime')
    assert {kind(base) for base in listed_bases(path)} <= {here}


ENDINGS = {
    'models': ('model', 'default_scope', 'visualizer'),
    'datasets': ('_dataloader', '_evaluator', '_pipeline'),
    'schedules': (
        *('train_cfg', 'val_cfg', 'test_cfg', '_hooks', 'log_processor', 'randomness'),
        *('optim_wrapper', 'param_scheduler', 'auto_scale_lr'),
    ),
    'runtime': ('env_cfg', 'sync_bn', 'log_level', 'load_from', 'resume', 'imports', 'type'),
}


@on(BASES)
def test_a_base_sets_nothing_that_belongs_to_another_kind(path):
    cfg = Config.fromfile(path)
    here = kind(path.relative_to(CONFIGS).as_posix())
    assert [key for key in cfg if key.endswith(ENDINGS[here])]
    others = tuple(end for name, ends in ENDINGS.items() if name != here for end in ends)
    assert not [key for key in cfg if key.endswith(others)]
    if here == 'schedules':
        assert not keys(cfg.to_dict()) & {'num_classes', 'head', 'loss', 'pipeline', 'data_root'}


@on(BASES)
def test_a_base_names_no_backbone(path):
    assert 'backbone' not in keys(Config.fromfile(path).to_dict())


@on(SCRATCH)
def test_a_scratch_config_inherits_its_sibling(path):
    assert listed_bases(path) == [path.name.replace('_scratch', '')]


@on(LEAVES + BASES)
def test_nothing_has_to_be_deleted(path):
    assert '_delete_' not in path.read_text()
