"""Archives are unpacked whole, safely, and on from where it stopped."""

import io
import stat
import tarfile
import zipfile

import pytest

from rapidnet_mm import UserError
from rapidnet_mm.transfer import archives
from rapidnet_mm.transfer.archives import (
    Change,
    DamagedArchive,
    check_space,
    tar_entries,
    unpack,
    zip_entries,
)
from tests.messages import assert_says, refusal

FILES = {'set/a.txt': b'a' * 3000, 'set/deep/b.txt': b'b' * 5, 'other/c.txt': b'c'}


def zipped(path, files=FILES):
    with zipfile.ZipFile(path, 'w') as file:
        for name, content in files.items():
            file.writestr(name, content)
    return path


def tarred(path, files=FILES):
    with tarfile.open(path, 'w') as file:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return path


def unpack_set(archive, out, convert=None, entries=None):
    def place_of(name):
        return Change(out / name, convert) if name.startswith('set/') else None

    reader = zip_entries if archive.suffix == '.zip' else tar_entries
    with reader(archive) as found:
        return unpack(archive, found if entries is None else entries(found), place_of)


def files_in(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob('*')
        if path.is_file()
    }


@pytest.mark.parametrize('make', [zipped, tarred])
def test_what_has_a_place_is_unpacked(make, tmp_path, capsys):
    archive = make(tmp_path / ('a.zip' if make is zipped else 'a.tar'))
    if make is tarred:  # whose files have to be read in turn
        assert unpack_set(archive, tmp_path / 'out', entries=list) == 2
    else:
        assert unpack_set(archive, tmp_path / 'out') == 2
    assert files_in(tmp_path / 'out') == {k: v for k, v in FILES.items() if k.startswith('set/')}
    assert_says(capsys.readouterr().err, f'unpacking {archive.name}', '0:00:00')


def test_a_stopped_unpacking_goes_on(tmp_path, monkeypatch):
    archive, out, replace = zipped(tmp_path / 'a.zip'), tmp_path / 'out', archives.os.replace

    def once(*names):
        replace(*names)
        raise KeyboardInterrupt

    monkeypatch.setattr(archives.os, 'replace', once)
    with pytest.raises(KeyboardInterrupt):
        unpack_set(archive, out)
    assert set(files_in(out)) == {'set/a.txt'}  # and no half of another
    monkeypatch.setattr(archives.os, 'replace', replace)
    first = (out / 'set/a.txt').stat().st_mtime_ns
    assert unpack_set(archive, out) == 2
    assert (out / 'set/a.txt').stat().st_mtime_ns == first
    assert (out / 'set/deep/b.txt').read_bytes() == b'b' * 5


def test_another_file_of_that_name_stays(tmp_path):
    mine = tmp_path / 'out/set/a.txt'
    mine.parent.mkdir(parents=True)
    mine.write_text('mine')
    line = refusal(unpack_set, zipped(tmp_path / 'a.zip'), tmp_path / 'out')
    assert_says(line, mine, 'is there already', '3000')
    assert mine.read_text() == 'mine'


NAMES = ('../x', 'set/../../x', '/x', 'C:/x', '..\\x', '\\\\host\\x', 'set/..')


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize('make', [zipped, tarred])
def test_no_path_leads_out_of_the_folder(make, name, tmp_path):
    archive = make(tmp_path / ('a.zip' if make is zipped else 'a.tar'), {name: b'x'})
    with pytest.raises(DamagedArchive, match='leads out of its folder'):
        unpack_set(archive, tmp_path / 'out', entries=list)
    assert set(files_in(tmp_path)) == {archive.name}


@pytest.mark.parametrize('suffix', ['.zip', '.tar'])
def test_links_are_refused(suffix, tmp_path):
    archive = tmp_path / f'a{suffix}'
    if suffix == '.zip':
        info = zipfile.ZipInfo('set/link')
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        with zipfile.ZipFile(archive, 'w') as file:
            file.writestr(info, '/etc/passwd')
    else:
        info = tarfile.TarInfo('set/link')
        info.type, info.linkname = tarfile.SYMTYPE, '/etc/passwd'
        with tarfile.open(archive, 'w') as file:
            file.addfile(info)
    with pytest.raises(DamagedArchive, match='no plain file'):
        unpack_set(archive, tmp_path / 'out', entries=list)


def test_a_wrong_byte_is_found_and_its_file_is_not_kept(tmp_path):
    archive = zipped(tmp_path / 'a.zip')
    data = bytearray(archive.read_bytes())
    data[data.find(b'aaa') + 99] ^= 1
    archive.write_bytes(data)
    with pytest.raises(DamagedArchive, match=r'a\.zip is damaged: .*CRC'):
        unpack_set(archive, tmp_path / 'out')
    assert files_in(tmp_path / 'out') == {}


@pytest.mark.parametrize('name', ['a.zip', 'a.tar'])
def test_what_is_no_archive_is_one_line(name, tmp_path):
    (tmp_path / name).write_bytes(b'hello' * 200)
    assert_says(refusal(unpack_set, tmp_path / name, tmp_path / 'out'), name, 'is damaged')


def test_room_is_asked_for_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, 'free_space', lambda _: 2000)
    line = refusal(unpack_set, zipped(tmp_path / 'a.zip'), tmp_path / 'out')
    assert_says(line, 'a.zip needs', 'are free')
    assert not (tmp_path / 'out').exists()
    check_space(tmp_path / 'not/there/yet', 2000, 'this')
    with pytest.raises(UserError, match=r'this needs 5\.0 GB .* only .* free'):
        check_space(tmp_path, 5 * 10**9, 'this')


def test_contents_can_change_on_the_way(tmp_path):
    unpack_set(zipped(tmp_path / 'a.zip'), tmp_path / 'out', convert=bytes.upper)
    assert (tmp_path / 'out/set/deep/b.txt').read_bytes() == b'BBBBB'
