"""README and docs do what they say: every block runs, every link leads somewhere."""

import ast
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rapidnet_mm.data.checks.check_config import check_data
from rapidnet_mm.engine.config import build_model, load_config
from tests.warm import WarmCommands

REPOSITORY = Path(__file__).parents[1]
README = REPOSITORY / 'README.md'
DOCS = sorted((REPOSITORY / 'docs').glob('*.md'))
# The zoo's page is generated. Its links are checked, and it has no blocks.
PAGES = [README, *DOCS, REPOSITORY / 'CONTRIBUTING.md']
WRITTEN = [README, *(page for page in DOCS if page.name != 'model_zoo.md')]
README_LINES = 120
LANGUAGES = {'sh', 'python', 'bibtex'}
FENCE = re.compile(r'^```(\w*)\n(.*?)^```$', re.DOTALL | re.MULTILINE)

# Lines that no test can run, by a pattern, and why. Every other line runs.
NOT_RUN = {
    r'git clone': 'needs a network',
    r'pip install': 'needs a network and changes the environment',
    r'weights fetch': 'downloads weights',
    r'data fetch': 'downloads data',
    r'complexity --table': 'tests/analysis/test_complexity.py runs it',
    r'^make ': 'sets up an environment; make test runs this file',
    r'^source ': 'changes the shell',
    r'/path/to/': 'links to data that only the reader has',
    r'(?<!benchmark-)(train|test)(\.py|\.sh)? configs/\S+_coco\.py': 'needs COCO',
    r'(?<!benchmark-)(train|test)(\.py|\.sh)? configs/\S+_ade20k\.py': 'needs ADE20K',
    r'(?<!benchmark-)(train|test)(\.py|\.sh)? configs/\S+_in1k\.py': 'needs ImageNet',
    r'slurm_(train|test)\.sh': 'needs Slurm',
    r'fruit\.py': 'needs the data of the example, whose config another test checks',
    r'doctor (configs|data|work_dirs)/': 'tests/commands/test_doctor.py runs it',
    r'IN\.pth': 'stands for a file of the reader',
    r'report .* --out': 'needs two trainings; tests/analysis/report compares some',
}
# What makes a line short enough for a test, appended to it.
SHORTER = {
    r'make-shapes$': '--train 5 --val 5 --size 128 96',
    r'make-shapes --classes$': '--train 25 --val 5',
    r'train \S+semfpn_\S+_shapes\.py$': '--cfg-options train_cfg.max_iters=4',
    r'train(\.sh)? \S+maskrcnn_\S+_shapes\.py': '--cfg-options train_dataloader.dataset.indices=2',
    r'(--work-dir work_dirs/(short|from_classifier|two_processes))': 'train_cfg.max_epochs=1',
    r'benchmark ': '--shape 64 96 --steps 2',
    r'benchmark-train': '--batch 2 --shape 64 96 --steps 1',
    r'receptive-field': '--size 64 --count 1',
    r'zoo --latency': '--models rexnet_plain_in1k vgnetg_1_0mp_in1k --steps 1',
    r'benchmark-graph': '--batch 2 --shape 7 7 --steps 1',
    r'channel-search$': '--models 10 --epochs 1 --size 16',
    r'train first/first\.py': '--cfg-options train_cfg.max_iters=2 param_scheduler=None '
    'train_dataloader.num_workers=0 val_dataloader.dataset.indices=2',
}
RENAMED = {'iter_400.pth': 'iter_4.pth', 'iter_500.pth': 'iter_2.pth'}  # because of max_iters
# Lines that others build on: the data, and a trained model of each kind.
FIRST = [
    'rapidnet make-shapes',
    'rapidnet make-shapes --classes',
    'rapidnet train configs/maskrcnn_rapidnet_ti_shapes.py',
    'rapidnet train configs/semfpn_rapidnet_ti_shapes.py',
    'rapidnet train configs/imagenet/rapidnet_ti_shapes.py',
]


def blocks(pages, language):
    """Code blocks of that language, each with its page."""
    return [
        (page, match[2])
        for page in pages
        for match in FENCE.finditer(page.read_text())
        if match[1] == language
    ]


def commands():
    """Every line of every command block once, in the order of the pages, without its comment."""
    lines = (line for _, block in blocks(WRITTEN, 'sh') for line in block.splitlines())
    return list(dict.fromkeys(re.sub(r'\s+#.*', '', line).strip() for line in lines))


def reason_not_to_run(line):
    return next((why for pattern, why in NOT_RUN.items() if re.search(pattern, line)), None)


RUN = [line for line in commands() if not reason_not_to_run(line)]
PYTHON = [(page.name, block) for page, block in blocks(WRITTEN, 'python')]
# Names of the package are for an installed one: tests/test_packaging.py builds it first.
CONFIGS = [
    block for _, block in PYTHON if block.startswith('_base_') and 'rapidnet_mm::' not in block
]
SCRIPTS = [(name, block) for name, block in PYTHON if not block.startswith('_base_')]


def shortened(line):
    """The line, with what SHORTER appends to it."""
    for pattern, options in SHORTER.items():
        if re.search(pattern, line):
            line += f' {options}'
    for old, new in RENAMED.items():
        line = line.replace(old, new)
    return line


def run(line, warm):
    """Run a line of the documentation, shortened, in the project's folder."""
    words = shlex.split(shortened(line))
    if words[0] == 'rapidnet':
        status, output = warm(words[1:])
    else:
        done = subprocess.run(
            ['bash', *words], cwd=warm.folder, env={**os.environ, 'PYTHON': sys.executable},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300,
        )  # fmt: skip
        status, output = done.returncode, done.stdout
    assert status == 0, f'{line}\n{output[-4000:]}'


@pytest.fixture(scope='module')
def project(tmp_path_factory):
    """A folder as a checkout has it, with small data and a trained model of each kind."""
    folder = tmp_path_factory.mktemp('checkout')
    for name in ('configs', 'tools'):
        (folder / name).symlink_to(REPOSITORY / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('OMP_NUM_THREADS', '1')
        paths = [str(REPOSITORY), os.environ.get('PYTHONPATH', '')]
        patch.setenv('PYTHONPATH', os.pathsep.join(paths))
        patch.setenv('TORCHDYNAMO_DISABLE', '1')  # torch.compile would take minutes
        warm = WarmCommands(folder)
        for line in FIRST:
            run(line, warm)
        yield warm


@pytest.mark.slow
@pytest.mark.parametrize('line', [line for line in RUN if line not in FIRST])
def test_every_command_that_can_run_here_runs(line, project):
    if '--metrics' in line:
        (project.folder / 'metrics.json').write_text('{"coco/bbox_mAP": 0.1}')
    run(line, project)


def test_what_others_build_on_is_in_the_documentation():
    assert set(FIRST) <= set(RUN)


@pytest.mark.parametrize('pattern', NOT_RUN)
def test_every_reason_not_to_run_a_line_is_needed(pattern):
    assert any(re.search(pattern, line) for line in commands())


@pytest.mark.parametrize('pattern', SHORTER)
def test_every_way_to_shorten_a_line_is_needed(pattern):
    assert any(re.search(pattern, line) for line in RUN)


@pytest.mark.slow
@pytest.mark.parametrize(('page', 'block'), SCRIPTS, ids=[page for page, _ in SCRIPTS])
def test_every_python_block_runs(page, block, project, monkeypatch, capsys):
    for old, new in RENAMED.items():
        block = block.replace(old, new)
    monkeypatch.chdir(project.folder)
    quick = Path('quick.py')
    quick.write_text(
        "_base_ = ['configs/maskrcnn_rapidnet_ti_shapes.py']\n"
        'train_cfg = dict(max_epochs=1, val_interval=1)\n'
        'train_dataloader = dict(dataset=dict(indices=2))\n'
    )
    monkeypatch.setattr(sys, 'argv', ['train.py', 'quick.py'])
    exec(compile(block, page, 'exec'), {'__name__': '__main__'})
    assert 'print' not in block or capsys.readouterr().out.strip()
    assert 'build_runner' not in block or Path('work_dirs/quick/epoch_1.pth').is_file()


def make_image(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.resize(np.array(pixels, np.uint8), (40, 50))).save(path)


def make_fruit(root):
    for split in ('train', 'val'):
        make_image(root / split / 'a.jpg', [0, 100, 200])
        box = dict(id=1, image_id=1, bbox=[5, 5, 36, 32], area=1152, iscrowd=0)
        content = {
            'images': [dict(id=1, file_name='a.jpg', width=50, height=40)],
            'annotations': [
                {**box, 'category_id': 1, 'segmentation': [[5, 5, 41, 5, 41, 37, 5, 37]]}
            ],
            'categories': [dict(id=1, name='apple'), dict(id=2, name='pear')],
        }
        (root / f'{split}.json').write_text(json.dumps(content))


def make_streets(root):
    for split in ('training', 'validation'):
        make_image(root / 'images' / split / 'a.jpg', [0, 100, 200])
        make_image(root / 'annotations' / split / 'a.png', [0, 1, 255])


def make_birds(root):
    for split in ('train', 'val'):
        for name in ('duck', 'owl', 'wren'):
            make_image(root / split / name / 'a.jpg', [0, 100, 200])


OWN_DATA = {'fruit': make_fruit, 'streets': make_streets, 'birds': make_birds}


def one_config(mark):
    """The block of own_data.md that has ``mark``, with bases that are found from anywhere."""
    text = (REPOSITORY / 'docs/own_data.md').read_text()
    (block,) = [match[2] for match in FENCE.finditer(text) if mark in match[2]]
    return re.sub(r"_base_ = \['(.*)'\]", rf"_base_ = ['{REPOSITORY}/configs/\1']", block)


def without_filters(cfg):
    """The example's images are smaller than what COCO's configs leave out."""
    cfg.train_dataloader.dataset.pop('filter_cfg', None)
    return cfg


@pytest.mark.openmmlab
@pytest.mark.parametrize('name', OWN_DATA)
def test_the_configs_for_own_data_fit_such_data(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = Path('data') / name
    OWN_DATA[name](root)
    Path('mine.py').write_text(one_config(f'data/{name}/'))
    cfg = without_filters(load_config('mine.py'))
    check_data(cfg, ('train', 'val', 'test'))
    for split in ('train', 'val', 'test'):
        assert cfg[f'{split}_dataloader'].dataset.data_root == f'{root}/'
    build_model(cfg)
    victim = next(root.rglob('*.jpg'))
    victim.write_bytes(b'')  # the check really looks at these files
    with pytest.raises(ValueError, match=victim.name):
        check_data(cfg, ('train', 'val', 'test'))


@pytest.mark.openmmlab
@pytest.mark.parametrize('block', CONFIGS, ids=[str(i) for i in range(len(CONFIGS))])
def test_every_config_in_the_documentation_builds_its_model(block, tmp_path):
    configs = tmp_path / 'configs'
    shutil.copytree(REPOSITORY / 'configs', configs)
    (configs / 'mine.py').write_text(block)
    backbone = build_model(load_config(configs / 'mine.py')).backbone
    assert type(backbone).__name__ == 'RapidNet'


def test_the_readme_is_one_screenful():
    assert len(README.read_text().splitlines()) <= README_LINES


@pytest.mark.parametrize('page', WRITTEN, ids=lambda page: page.name)
def test_every_code_block_is_fenced_and_has_a_known_language(page):
    text = page.read_text()
    assert {match[1] for match in FENCE.finditer(text)} <= LANGUAGES
    rest = FENCE.sub('', text)
    assert '```' not in rest
    assert not re.search(r'\n\n {4,}\S', rest), 'an indented block, which no test would see'


def anchor(heading):
    """The anchor that GitHub gives to a heading."""
    return re.sub(r'[^\w\- ]', '', heading.strip().lower()).replace(' ', '-')


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    links = re.findall(r'\]\(([^)\s]+)\)', FENCE.sub('', page.read_text()))
    for link in links:
        if '://' in link:
            continue
        path, _, name = link.partition('#')
        target = page.parent / path if path else page
        assert target.exists(), link
        if name:
            headings = re.findall(r'^#+ (.*)', FENCE.sub('', target.read_text()), re.MULTILINE)
            assert name in map(anchor, headings), link


def test_the_index_names_every_page():
    index = (REPOSITORY / 'docs/README.md').read_text()
    assert all(f']({page.name})' in index for page in DOCS if page.name != 'README.md')


@cache
def texts_in_the_code():
    """All texts between the placeholders of the code's messages."""
    trees = [ast.parse(path.read_text()) for path in (REPOSITORY / 'rapidnet_mm').rglob('*.py')]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    return [n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)]


def quoted_messages():
    """What the first column of troubleshooting.md's tables quotes."""
    text = (REPOSITORY / 'docs/troubleshooting.md').read_text()
    return re.findall(r'^\| `([^`]+)` \|', text, re.MULTILINE)


@pytest.mark.parametrize('message', quoted_messages())
def test_every_message_that_is_explained_exists(message):
    foreign = 'operator torchvision::nms does not exist'  # PyTorch's
    if message == foreign:
        return
    known = texts_in_the_code()
    for part in filter(None, map(str.strip, message.split('…'))):
        assert any(part in text for text in known), part
