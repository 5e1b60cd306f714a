"""Mutation testing: change the code in one small place at a time and see if the tests notice.

mutmut makes the changes ("mutants") and runs the tests that reach each of them. For every room of
``[tool.mutants]`` in pyproject.toml this script draws a sample of mutants, the same one for the
same seed, and prints how many the tests caught. The others are listed with their diffs in
work_dirs/mutants/ROOM.diff.

    python .ci/mutants.py                    all rooms
    python .ci/mutants.py weights metrics    some rooms
    python .ci/mutants.py weights --again    only the mutants that the last run did not catch
"""

import argparse
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import tomllib

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE = 'rapidnet_mm'
FOLDER = REPOSITORY / 'work_dirs/mutants'
# mutmut copies every entry of the repository that a test could read; these no test reads.
NOT_COPIED = {'build', 'data', 'dist', 'pyproject.toml', 'work_dirs'}
# Exit codes of a mutant that was not caught: pytest's 0 and 5, mutmut's 33 for "no test", and those
# of tests that ran out of time, which may only have been slow.
NOT_CAUGHT = {0, 5, 33, -24, 24, 36, 152, 255}
# Prints the names of all mutants. mutmut's command line names only those that it has run.
LIST = """
import json
from mutmut.mutation.file_mutation import mutate_file_contents
from mutmut.utils.file_utils import walk_mutatable_files
from mutmut.utils.format_utils import get_mutant_name
print(json.dumps([
    get_mutant_name(path, name)
    for path in sorted(walk_mutatable_files())
    for name in mutate_file_contents(str(path), path.read_text()).mutant_names
]))
"""


def prepare(folder: Path, room: dict[str, list[str]], options: dict[str, object]) -> None:
    """Make the folder that mutmut works in: links to the repository and the room's settings."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = sorted(
        path.name
        for path in REPOSITORY.iterdir()
        if not path.name.startswith('.') and path.name not in NOT_COPIED
    )
    for name in entries:
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(REPOSITORY / name)
    settings = {
        'source_paths': [PACKAGE],
        'only_mutate': room['sources'],
        'pytest_add_cli_args_test_selection': room['tests'],
        'also_copy': [name for name in entries if name != PACKAGE],
        **options,
    }
    # JSON is TOML, too, for texts, numbers, true and false, and lists of them.
    lines = [f'{key} = {json.dumps(value)}' for key, value in settings.items()]
    text = (REPOSITORY / 'pyproject.toml').read_text()
    (folder / 'pyproject.toml').write_text('\n'.join([text, '[tool.mutmut]', *lines, '']))


def run(folder: Path, command: list[str], **options: object) -> str:
    """Run a command in the folder and return what it printed, if that is captured."""
    result = subprocess.run(command, cwd=folder, check=True, text=True, **options)
    return result.stdout or ''


def exit_codes(folder: Path) -> dict[str, int | None]:
    """Return the exit code of the tests for each mutant, None for one that was not run."""
    codes = {}
    for path in (folder / 'mutants').rglob('*.meta'):
        codes.update(json.loads(path.read_text())['exit_code_by_key'])
    return codes


def judge(folder: Path, args: argparse.Namespace) -> tuple[int, list[str]]:
    """Run the mutants of one room and return how many they were and which were not caught."""
    names = json.loads(run(folder, [sys.executable, '-c', LIST], stdout=subprocess.PIPE))
    random.Random(args.seed).shuffle(names)
    drawn = names[: args.sample]
    if args.again:
        codes = exit_codes(folder)
        drawn = [name for name in names if codes.get(name) in NOT_CAUGHT]
    mutmut = str(Path(sys.executable).with_name('mutmut'))
    if drawn:
        run(folder, [mutmut, 'run', '--max-children', str(args.jobs), *drawn])
    codes = exit_codes(folder)
    not_caught = sorted(name for name in drawn if codes[name] in NOT_CAUGHT)
    diffs = [run(folder, [mutmut, 'show', name], stdout=subprocess.PIPE) for name in not_caught]
    folder.with_suffix('.diff').write_text('\n'.join(diffs))
    return len(drawn), not_caught


def main() -> None:
    config = tomllib.loads((REPOSITORY / 'pyproject.toml').read_text())['tool']['mutants']
    rooms = config['rooms']
    parser = argparse.ArgumentParser(description=__doc__.split('\n', 1)[0])
    parser.add_argument('rooms', nargs='*', help=f'of {", ".join(rooms)}; without any: all')
    parser.add_argument('--sample', type=int, default=config['sample'], help='mutants in a room')
    parser.add_argument('--seed', type=int, default=config['seed'], help='of the sample')
    parser.add_argument('--jobs', type=int, default=1, help='mutants at a time')
    parser.add_argument('--again', action='store_true', help='only those not caught last time')
    args = parser.parse_args()
    if unknown := set(args.rooms) - set(rooms):
        parser.error(f'{sorted(unknown)} is no room; choose from {", ".join(rooms)}')
    os.environ['OMP_NUM_THREADS'] = '1'
    lines = []
    for name in args.rooms or rooms:
        prepare(FOLDER / name, rooms[name], config['mutmut'])
        count, not_caught = judge(FOLDER / name, args)
        caught = count - len(not_caught)
        lines.append(f'{name:10}{caught:5} of {count} caught ({caught / max(count, 1):.0%})')
        print('\n'.join(['', lines[-1], *(f'  not caught: {mutant}' for mutant in not_caught)]))
    print('\n'.join(['', *lines, f'diffs of the others: {FOLDER}/*.diff']))


if __name__ == '__main__':
    main()
