"""Data sets from a server on this machine that stalls, breaks off and sends a wrong byte."""

import hashlib
import io
import json
import tarfile
import time
import zipfile

import cv2
import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from rapidnet_mm.commands.main import main
from rapidnet_mm.data.fetch import coco_subset, run, sources
from rapidnet_mm.data.fetch.sources import SOURCES, ByHand
from rapidnet_mm.engine.config import load_config
from rapidnet_mm.transfer import archives, download
from tests import server
from tests.messages import assert_says

COUNT = 6  # images of a split of the small COCO


def jpeg(shade, size=(20, 12)):
    buffer = io.BytesIO()
    Image.new('RGB', size, (shade, 90, 30)).save(buffer, 'JPEG')
    return buffer.getvalue()


def png(labels):
    return cv2.imencode('.png', np.asarray(labels, np.uint8))[1].tobytes()


def zipped(files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w') as file:
        for name, content in files.items():
            file.writestr(name, content)
    return buffer.getvalue()


def annotations(split):
    images = [
        dict(id=k, file_name=f'{k:012d}.jpg', width=20, height=12) for k in range(1, COUNT + 1)
    ]
    objects = [
        dict(id=k, image_id=k, bbox=[1, 1, 5, 5], area=25, iscrowd=0, category_id=1)
        for k in range(1, COUNT + 1)
    ]
    categories = [dict(id=1, name='person')]
    content = dict(info=split, images=images, annotations=objects, categories=categories)
    return json.dumps(content).encode()


def coco_files():
    files = {f'/{split}/{k:012d}.jpg': jpeg(10 * k) for split in ('val2017', 'train2017')
             for k in range(1, COUNT + 1)}  # fmt: skip
    jsons = {f'annotations/instances_{s}.json': annotations(s) for s in ('val2017', 'train2017')}
    files['/annotations/annotations_trainval2017.zip'] = zipped(jsons)
    for split in ('val2017', 'train2017'):
        content = {name[1:]: data for name, data in files.items() if name.startswith(f'/{split}/')}
        files[f'/zips/{split}.zip'] = zipped(content)
    return files


def camvid_files():
    files = {}
    for split in ('train', 'val', 'test'):
        files[f'{sources.CAMVID}/CamVid/{split}/x.png'] = png(np.zeros((4, 6, 3)))
        files[f'{sources.CAMVID}/CamVid/{split}annot/x.png'] = png([[0, 3, 11], [10, 11, 1]])
    files[f'{sources.CAMVID}/README.md'] = b'not wanted'
    return {f'/archive/{sources.CAMVID[16:]}.zip': zipped(files)}


def ade_files():
    folder = 'ADEChallengeData2016'
    names = [f'{folder}/{kind}/{split}/a' for kind in ('images', 'annotations')
             for split in ('training', 'validation')]  # fmt: skip
    files = {f'{n}.jpg' if '/images/' in n else f'{n}.png': b'content' for n in names}
    return {f'/{folder}.zip': zipped({**files, f'{folder}/objectInfo150.txt': b'text'})}


MAKERS = {'coco': coco_files, 'camvid': camvid_files, 'ade20k': ade_files}


class Misbehaving(server.Site):
    """A site that can also stall and change a byte."""

    def __init__(self):
        super().__init__()
        self.stalls = self.busy = 0
        self.wrong_bytes = ''


def _handler(site):
    plain = server._handler(site)

    class Handler(plain):
        def do_GET(self):
            data = site.files.get(self.path)
            if site.busy and data is not None:
                site.busy -= 1
                self.send_error(503)
            elif site.stalls and data is not None:
                site.stalls -= 1
                site.asked.append((self.path, None))
                self.send_response(200)
                self.send_header('Content-Length', str(len(data)))
                self.send_header('ETag', f'"{hash(data)}"')
                self.end_headers()
                self.wfile.write(data[: len(data) // 2])
                self.wfile.flush()
                time.sleep(0.6)
            elif data is not None and site.wrong_bytes and self.path.endswith(site.wrong_bytes):
                # Of a file's content, not of the structure of the archive.
                place = data.index(b'\x89PNG' if b'\x89PNG' in data else b'content') + 5
                changed = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
                site.files[self.path] = changed
                super().do_GET()
                site.files[self.path] = data
            else:
                super().do_GET()

    return Handler


@pytest.fixture
def site(monkeypatch):
    """Small data sets in the place of the real ones."""
    monkeypatch.setattr(download, 'TIMEOUT', 0.3)
    with server.serving(Misbehaving, _handler) as site:
        for name, make in MAKERS.items():
            site.files |= make()
            moved = []
            for archive in SOURCES[name].archives:
                path = next(p for p in site.files if archive.url.endswith(p))
                checksum = archive.checksum
                if checksum:
                    digits = hashlib.new(checksum[0], site.files[path]).hexdigest()
                    checksum = (checksum[0], digits)
                changes = dict(url=site.url + path, checksum=checksum, size=10**6, unpacked=10**6)
                moved.append(archive._replace(**changes))
            monkeypatch.setitem(SOURCES, name, SOURCES[name]._replace(archives=tuple(moved)))
        fetch_images = coco_subset.fetch_subset
        monkeypatch.setattr(
            coco_subset,
            'fetch_subset',
            lambda *arguments: fetch_images(*arguments, images=site.url),
        )
        yield site


@pytest.fixture
def fetch(tmp_path, monkeypatch, capfd):
    """Runs ``rapidnet data fetch`` in an empty folder; gives its status and what it printed."""
    monkeypatch.chdir(tmp_path)

    def call(*words):
        with pytest.raises(SystemExit) as end:
            main(['data', 'fetch', *map(str, words)])
        printed = capfd.readouterr()
        assert 'Traceback' not in printed.err
        return end.value.code or 0, printed.out + printed.err

    return call


def files_in(folder):
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob('*')
        if path.is_file() and not path.name.startswith('.')
    }


def test_coco_lies_where_the_configs_look_for_it(site, fetch, tmp_path):
    status, printed = fetch('coco')
    assert status == 0, printed
    assert_says(printed, 'CC BY 4.0', 'needs about', 'free are', 'downloading', 'unpacking')
    data = load_config('maskrcnn_rapidnet_m_coco').train_dataloader.dataset
    assert (tmp_path / data.data_root / data.ann_file).is_file()
    images = tmp_path / data.data_root / data.data_prefix.img
    assert len(list(images.iterdir())) == COUNT
    assert files_in(tmp_path / 'data') == {
        path for path in files_in(tmp_path / 'data') if path.startswith('coco/')
    }  # the archives are gone
    asked = len(site.asked)
    assert fetch('coco')[0] == 0
    assert len(site.asked) == asked  # nothing is fetched again
    next(images.iterdir()).unlink()
    assert fetch('coco')[0] == 0
    assert len(list(images.iterdir())) == COUNT


@pytest.mark.usefixtures('site')
@pytest.mark.parametrize(
    ('name', 'config'),
    [('ade20k', 'semfpn_rapidnet_m_ade20k'), ('camvid', 'semfpn_rapidnet_ti_camvid')],
)
def test_label_maps_lie_where_the_configs_look_for_them(name, config, fetch, tmp_path):
    status, printed = fetch(name)
    assert status == 0, printed
    for split in ('train', 'val'):
        data = load_config(config)[f'{split}_dataloader'].dataset
        for folder in data.data_prefix.values():
            assert files_in(tmp_path / data.data_root / folder), folder


@pytest.mark.usefixtures('site')
def test_the_void_of_camvid_becomes_what_is_not_counted(fetch, tmp_path):
    assert fetch('camvid')[0] == 0
    assert len(files_in(tmp_path / 'data/camvid')) == 6
    labels = cv2.imread(str(tmp_path / 'data/camvid/annotations/validation/x.png'), -1)
    assert labels.tolist() == [[0, 3, 255], [10, 255, 1]]


@pytest.mark.parametrize('trouble', ['stalls', 'breaks'])
def test_a_connection_that_stops_is_taken_up_again(trouble, site, fetch):
    setattr(site, trouble, 1)
    status, printed = fetch('ade20k')
    assert status == 0, printed
    assert [bool(rest) for _, rest in site.asked] == [False, True]  # not the whole again


@pytest.mark.parametrize(('busy', 'status'), [(3, 0), (4, 2)])
def test_a_busy_server_is_asked_again_and_then_given_up(busy, status, site, fetch, monkeypatch):
    waits = []
    monkeypatch.setattr(download.time, 'sleep', waits.append)
    site.busy = busy
    ended, printed = fetch('coco', '--subset', 1)
    assert ended == status, printed
    assert waits == list(download.WAITS)
    assert ('503' in printed) == bool(status)


@pytest.mark.parametrize(('name', 'said'), [('ade20k', 'has the sha1'), ('camvid', 'CRC')])
def test_a_wrong_byte_is_found_and_the_next_run_is_right(name, said, site, fetch, tmp_path):
    site.wrong_bytes = '.zip'
    status, printed = fetch(name)
    assert status == 2
    assert said in printed
    assert not list(tmp_path.rglob('*.zip'))
    site.wrong_bytes = ''
    assert fetch(name)[0] == 0


def test_a_subset_has_single_images_and_annotations_of_its_own(site, fetch, tmp_path):
    status, printed = fetch('coco', '--subset', 2)
    assert status == 0, printed
    for split in ('train2017', 'val2017'):
        content = json.loads(
            (tmp_path / f'data/coco_2/annotations/instances_{split}.json').read_text()
        )
        names = {image['file_name'] for image in content['images']}
        assert len(names) == len(content['annotations']) == 2
        assert files_in(tmp_path / f'data/coco_2/{split}') == names
        assert {one['image_id'] for one in content['annotations']} == {
            image['id'] for image in content['images']
        }
    assert not [path for path, _ in site.asked if path.startswith('/zips/')]
    asked = len(site.asked)
    assert fetch('coco', '--subset', 2)[0] == 0
    assert len(site.asked) == asked


def test_a_broken_image_of_a_subset_is_named_and_the_next_run_goes_on(site, fetch):
    path = '/val2017/000000000004.jpg'
    whole = site.files[path]
    site.files[path] = whole[: len(whole) // 2]
    status, printed = fetch('coco', '--subset', COUNT)
    assert status == 2
    assert_says(printed, path, 'is truncated', 'run again')
    site.files[path] = whole
    assert fetch('coco', '--subset', COUNT)[0] == 0
    assert sum(asked == path for asked, _ in site.asked) == 2
    assert sum(asked == '/val2017/000000000001.jpg' for asked, _ in site.asked) == 1


def test_without_room_nothing_is_downloaded(site, fetch, monkeypatch):
    monkeypatch.setattr(archives, 'free_space', lambda _: 10**6)
    status, printed = fetch('coco')
    assert status == 2
    assert_says(printed, 'COCO 2017 needs', 'are free')
    assert not [path for path, _ in site.asked if path.endswith('.zip')]


@pytest.mark.parametrize('words', [['coco'], ['coco', '--subset', '3'], ['camvid']])
def test_without_a_network_it_is_one_line(words, fetch, monkeypatch):
    source = SOURCES[words[0]]
    gone = [archive._replace(url='http://127.0.0.1:9/a.zip') for archive in source.archives]
    monkeypatch.setitem(SOURCES, words[0], source._replace(archives=tuple(gone)))
    status, printed = fetch(*words)
    assert status == 2
    (line,) = [line for line in printed.splitlines() if line.startswith('error: ')]
    assert_says(line, 'http://127.0.0.1:9/a.zip cannot be downloaded', 'refused')


@pytest.mark.parametrize(
    ('words', 'said'),
    [
        (['camvid', '--subset', '2'], 'only coco has'),
        (['coco', '--from', 'a.zip'], 'leave it out'),
        (['imagenet-val'], 'rapidnet data fetch imagenet-val --from ILSVRC2012_img_val.tar'),
        (['imagenet-val', '--from', 'a.tar'], 'ILSVRC2012_img_val.tar is missing'),
    ],
)
def test_bad_input_is_one_line(words, said, fetch):
    status, printed = fetch(*words)
    assert status == 2
    assert said in printed


CLASSES = ('n00000002', 'n00000001', 'n00000003')  # their numbers are not the order of their names


def tarred(files, mode='w'):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as file:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def development_kit():
    meta = io.BytesIO()
    rows = [(k + 1, name, 0) for k, name in enumerate(CLASSES)] + [(4, 'n00000009', 2)]
    kinds = [('ILSVRC2012_ID', 'O'), ('WNID', 'O'), ('num_children', 'O')]
    savemat(meta, {'synsets': np.array(rows, dtype=kinds)})
    root = 'ILSVRC2012_devkit_t12/data'
    truth = b'2\n1\n3\n2\n'
    return tarred(
        {f'{root}/meta.mat': meta.getvalue(),
         f'{root}/ILSVRC2012_validation_ground_truth.txt': truth}, 'w:gz',
    )  # fmt: skip


@pytest.fixture
def imagenet(tmp_path, monkeypatch):
    """The files that people download by hand, small."""
    inner = {
        f'{name}.tar': tarred({f'{name}_{k}.JPEG': jpeg(k) for k in (1, 2)}) for name in CLASSES
    }
    images = {f'ILSVRC2012_val_{k:08d}.JPEG': jpeg(k) for k in range(1, 5)}
    contents = {
        'ILSVRC2012_img_train.tar': tarred(inner),
        'ILSVRC2012_img_val.tar': tarred(images),
        'ILSVRC2012_devkit_t12.tar.gz': development_kit(),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    for name in ('imagenet-train', 'imagenet-val'):
        source = SOURCES[name]
        sums = {file: hashlib.md5(contents[file]).hexdigest() for file in source.files}
        monkeypatch.setitem(SOURCES, name, source._replace(files=sums))
    return tmp_path


@pytest.mark.usefixtures('imagenet')
def test_imagenet_becomes_class_folders(fetch, tmp_path):
    status, printed = fetch('imagenet-train', '--from', 'ILSVRC2012_img_train.tar')
    assert status == 0, printed
    files = ('ILSVRC2012_devkit_t12.tar.gz', 'ILSVRC2012_img_val.tar')
    status, printed = fetch('imagenet-val', '--from', *files)
    assert status == 0, printed
    for split in ('train', 'val'):
        data = load_config('imagenet/rapidnet_ti_in1k')[f'{split}_dataloader'].dataset
        folder = tmp_path / data.data_root / data.data_prefix
        assert {path.name for path in folder.iterdir()} == set(CLASSES)
    assert files_in(tmp_path / 'data/imagenet/val') == {
        'n00000001/ILSVRC2012_val_00000001.JPEG',
        'n00000002/ILSVRC2012_val_00000002.JPEG',
        'n00000003/ILSVRC2012_val_00000003.JPEG',
        'n00000001/ILSVRC2012_val_00000004.JPEG',
    }


def test_another_file_of_imagenet_is_refused(imagenet, fetch):
    (imagenet / 'ILSVRC2012_img_train.tar').write_bytes(b'something else')
    status, printed = fetch('imagenet-train', '--from', 'ILSVRC2012_img_train.tar')
    assert status == 2
    assert_says(printed, 'ILSVRC2012_img_train.tar has the md5')


@pytest.mark.parametrize('name', SOURCES)
def test_the_table_names_terms_and_checksums_that_can_be_right(name):
    source = SOURCES[name]
    assert 'http' in source.terms
    sums = (
        [('md5', digits) for digits in source.files.values()]
        if isinstance(source, ByHand)
        else [archive.checksum for archive in source.archives if archive.checksum]
    )
    for kind, digits in sums:
        assert len(digits) == 2 * hashlib.new(kind).digest_size
        int(digits, 16)
    assert run.ARCHIVES not in source.folder
