"""The house: which room may import which, how long files are, and what runs without torch."""

import ast
import doctest
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / 'rapidnet_mm'
# From the top to the bottom. A room may import from the rooms below its own, and from itself.
FLOORS = (
    {'__init__', '__main__'},
    {'commands'},
    {'installation', 'analysis'},
    {'deploy'},
    {'engine'},
    {'models', 'data'},
    {'backbones'},
    {'weights'},
    {'display'},
    {'transfer'},
    {'files'},
    {'errors'},
)
FLOOR_OF = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
PUBLIC_UPWARDS = {('commands.main', '')}  # the version, which is read from the package itself
HEAVY = ('torch', 'torchvision', 'mmengine', 'mmcv', 'mmdet', 'mmseg', 'mmpretrain')
UNIX_ONLY = ('fcntl', 'grp', 'pwd', 'resource', 'termios')
DOCTESTED = (
    *('errors', 'display', 'display.images', 'display.tables', 'commands', 'transfer'),
    *('display.inputs', 'display.videos'),
    *('analysis', 'analysis.report', 'analysis.report.page', 'analysis.speed'),
    *('analysis.doctor.finding', 'engine.console', 'data.checks.messages'),
)


def module_name(path):
    """Name inside the package; '' for the package itself."""
    parts = path.relative_to(PACKAGE).with_suffix('').parts
    return '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob('*.py'))}


def imported(name):
    """Modules of the package that one imports, also inside its functions."""
    path = MODULES[name]
    package = name.split('.') if path.name == '__init__.py' else name.split('.')[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            origins = [alias.name for alias in node.names]
            assert not any(o.split('.')[0] in (PACKAGE.name, 'tools') for o in origins), name
        elif isinstance(node, ast.ImportFrom):
            if not node.level:
                assert node.module.split('.')[0] not in (PACKAGE.name, 'tools'), name
                continue
            base = [*package[: len(package) - node.level + 1], *(node.module or '').split('.')]
            for alias in node.names:
                inside = '.'.join(filter(None, [*base, alias.name]))
                yield inside if inside in MODULES else '.'.join(filter(None, base))


GRAPH = {name: sorted(set(imported(name)) - {name}) for name in MODULES}


def room(name):
    return name.split('.')[0] or '__init__'


def circle_from(start):
    """A way through the graph that leads back to ``start``, or None."""
    ways, seen = [[start]], set()
    while ways:
        way = ways.pop()
        for target in GRAPH[way[-1]]:
            if target == start:
                return [*way, start]
            if target not in seen:
                seen.add(target)
                ways.append([*way, target])
    return None


def test_every_module_has_a_place_in_the_house():
    assert {room(name) for name in MODULES} == set(FLOOR_OF)


def test_no_import_leads_up():
    upwards = {
        (name, target)
        for name, targets in GRAPH.items()
        for target in targets
        if room(name) != room(target) and FLOOR_OF[room(target)] <= FLOOR_OF[room(name)]
    }
    assert upwards == PUBLIC_UPWARDS


def test_no_imports_go_in_a_circle():
    circles = [circle for name in MODULES if name and (circle := circle_from(name))]
    assert circles == []


def test_files_functions_and_the_top_of_the_package_stay_small():
    assert len(list(PACKAGE.glob('*.py'))) <= 5
    long = []
    for name, path in MODULES.items():
        text = path.read_text()
        if len(text.splitlines()) > 400:
            long.append(name)
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                # A docstring may say as much as it likes.
                first = node.body[min(ast.get_docstring(node) is not None, len(node.body) - 1)]
                head = node.body[0].lineno - node.lineno
                if head + node.end_lineno - first.lineno + 1 > 40:
                    long.append(f'{name}: {node.name}')
    assert long == []


def run(code, *arguments, cwd=None):
    env = {**os.environ, 'PYTHONPATH': str(PACKAGE.parent)}
    command = [sys.executable, '-W', 'ignore', '-c', code, *arguments]
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


LIGHT_ROOMS = ('commands', 'display', 'transfer', 'errors', 'files')
LIGHT = [n for n in MODULES if room(n) in LIGHT_ROOMS or not n]
WITHOUT_TORCH = f"""
import sys

for name in {HEAVY}:
    sys.modules[name] = None  # importing it raises

from importlib import import_module

for name in {LIGHT}:
    import_module(f'rapidnet_mm.{{name}}'.rstrip('.'))

from pathlib import Path

import numpy as np

from rapidnet_mm.display import curves, drawing, images, results, tables
from rapidnet_mm.files import write_atomically, write_metrics

write_atomically(b'all of it', 'whole.txt')
write_metrics({{'mIoU': 0.5}}, 'metrics.json')
pixels = np.full((40, 60, 3), 128, np.uint8)
label_map = results.Segmentation(np.eye(40, 60, dtype=np.uint8), ('sky', 'road'))
palette = drawing.palette_of({{'classes': label_map.classes}})
legend = drawing.legend_of([label_map.labels], label_map.classes, palette)
painted = drawing.paint(pixels, label_map.labels, palette)
images.write_image(drawing.compose([drawing.Panel('labels', painted)], legend), 'picture.png')
assert images.read_image('picture.png').shape[2] == 3
masks = np.ones((1, 40, 60), bool)
one = np.ones(1, np.float32)
found = results.Detections(
    np.ones((1, 4)), one, np.zeros(1, int), masks, label_map.classes, (40, 60)
)
print(found.to_dict()['detections'][0]['name'], found.to_dict()['detections'][0]['mask']['size'])
series = {{'loss': [(1, 2.0), (2, 1.0)]}}
curves.plot_curves(series, {{'mIoU': [(1, 0.5)]}}, Path('curves.png'))
print(tables.text_table(['part', 'G'], [('backbone', 3.22)]))
"""


def test_files_drawing_results_and_tables_need_no_torch(tmp_path):
    folder = tmp_path / 'results'
    folder.mkdir()
    output = run(WITHOUT_TORCH, cwd=folder)
    assert output.startswith('sky [40, 60]\n')
    assert '| backbone | 3.2200 |' in output
    written = {path.name for path in folder.iterdir()}
    assert written == {'whole.txt', 'metrics.json', 'picture.png', 'curves.png'}


# Other packages know where they run; what counts are imports by our own code.
AS_ON_WINDOWS = f"""
import builtins, sys
from importlib import import_module

plain_import = builtins.__import__


def without_unix(name, globals=None, *arguments, **keywords):
    if name in {UNIX_ONLY} and (globals or {{}}).get('__name__', '').startswith('rapidnet_mm'):
        raise ImportError(f"{{globals['__name__']}} imports {{name}}")
    return plain_import(name, globals, *arguments, **keywords)


builtins.__import__ = without_unix
for name in sys.argv[1:]:
    import_module(f'rapidnet_mm.{{name}}'.rstrip('.'))
print('all imported')
"""


@pytest.mark.slow
def test_importing_needs_no_module_that_only_unix_has():
    names = [name for name in MODULES if name != '__main__']
    assert run(AS_ON_WINDOWS, *names) == 'all imported\n'


@pytest.mark.parametrize('name', DOCTESTED)
def test_examples_in_docstrings_give_what_they_show(name):
    result = doctest.testmod(import_module(f'rapidnet_mm.{name}'))
    assert result.attempted > 0
    assert result.failed == 0
