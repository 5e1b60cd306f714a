"""What the check of COCO annotations lets through is loaded, and perfect detections score 1.0."""

import json
from itertools import count

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mmdet.datasets import CocoDataset
from pycocotools import mask as mask_api

from rapidnet_mm import UserError
from rapidnet_mm.data.checks.coco import CocoChecker
from rapidnet_mm.engine.metrics.coco import BACKENDS, CocoAP

CLASSES = ('disc', 'box')
SIZES = ((24, 20), (17, 31))  # width and height of the images
LOADING = [
    dict(type='LoadImageFromFile'),
    dict(type='mmdet.LoadAnnotations', with_bbox=True, with_mask=True),
]
ODD = (
    *(None, True, False, -1, 0, 1, 2, 9, 0.5, 1.0, 24.0, -7.5, 10**30, -(10**30), 10**400, 2**63),
    *(1e9, 1e300, float('nan'), float('inf'), float('-inf'), '', '1', 'text', '\udcff', 'a\0b'),
    *([], [1], [[]], [None], {}, {'a': None}, {'size': None, 'counts': None}, '../0.png'),
)
PROFILE = settings(
    max_examples=200,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
numbers = st.one_of(
    st.integers(-40, 60),
    st.floats(-40, 60, width=32),
    st.sampled_from([0, 0.0, 0.25, 1e-9, 19.999, 24, 1e6, 2**31, 1e300, float('nan'), 10**400]),
)
inside = st.one_of(st.integers(0, 24), st.floats(0, 24, width=16))
polygons = st.lists(st.lists(inside, min_size=6, max_size=6), min_size=1, max_size=2)


@st.composite
def objects(draw, image, part):
    """An annotation that is right, but for one part of it."""
    width, height = SIZES[image]
    place, length = st.integers(0, 12), st.sampled_from([1, 2.5, 8])
    side = draw(st.sampled_from([inside, numbers]))
    box = st.tuples(place, place, length, length).map(list)
    if part == 'box':
        box = st.one_of(box, st.lists(side, min_size=4, max_size=4))
    masks = [st.just([[2, 2, 12, 2.5, 12, 14]]), polygons, rles(width, height)]
    if part == 'mask':
        masks = [st.lists(st.lists(side, max_size=9), max_size=3), odd_rles(width, height)]
    return {
        'image_id': 10 + image,
        'category_id': draw(st.sampled_from([3, 7])),
        'bbox': draw(box),
        'area': draw(st.sampled_from([0, 1, 1e11] if part == 'area' else [1, 30.5, 2000, 1e5])),
        'iscrowd': draw(st.sampled_from([0, 0, 0, 1])),
        'segmentation': draw(st.one_of(masks)),
    }


def rles(width, height):
    """Valid run lengths, as a list or compressed."""
    mask = np.arange(width * height).reshape(height, width) % 7 < 3
    text = mask_api.encode(np.asfortranarray(mask.astype(np.uint8)))['counts'].decode()
    area = width * height
    runs = st.lists(st.integers(1, area - 1), min_size=1, max_size=6).map(
        lambda cuts: np.diff([0, *sorted(cuts), area]).tolist()
    )
    counts = st.one_of(st.just(text), runs)
    return counts.map(lambda counts: {'size': [height, width], 'counts': counts})


@st.composite
def odd_rles(draw, width, height):
    """Run lengths of another size, cut ones, and such as no program writes."""
    rle = draw(rles(width, height))
    if draw(st.booleans()):
        rle['size'] = draw(st.sampled_from([[width, height], [height + 1, width], [1.0, 2], []]))
        return rle
    counts = st.one_of(
        st.integers(0, 9).map(lambda length: rle['counts'][:length]),
        st.text('0123456789PQabcdlmno', max_size=9),
        st.lists(st.one_of(st.integers(-9, 700), st.sampled_from(ODD)), max_size=5),
    )
    return {**rle, 'counts': draw(counts)}


@st.composite
def contents(draw):
    """The content of an annotation file. Some have odd values."""
    parts = draw(st.sampled_from([(), (), ('box',), ('mask',), ('area',)]))
    content = {
        'images': [
            {'id': 10 + k, 'file_name': f'{k}.png', 'width': size[0], 'height': size[1]}
            for k, size in enumerate(SIZES)
        ],
        'annotations': [draw(objects(k % 2, part)) for k, part in enumerate((*parts, None, None))],
        'categories': [{'id': 3, 'name': 'disc'}, {'id': 7, 'name': 'box'}],
    }
    for index, entry in enumerate(content['annotations']):
        entry['id'] = index + draw(st.sampled_from([0, 1, -1, 2**40]))
    for _ in range(draw(st.sampled_from([0, 0, 1]))):
        entry = draw(st.sampled_from(content[draw(st.sampled_from(sorted(content)))]))
        keys = [*entry, 'iscrowd', 'ignore', 'score', 'keypoints', 'caption']
        key = draw(st.sampled_from(keys))
        if draw(st.booleans()):
            entry[key] = draw(st.sampled_from(ODD))
        else:
            entry.pop(key, None)
    return content


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp('mine')
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    for index, (width, height) in enumerate(SIZES):
        cv2.imwrite(str(root / f'{index}.png'), pixels[:height, :width])
    return root


@pytest.fixture(scope='module')
def files():
    """Numbers for the files: a note about one is never that of another."""
    return count()


def dataset(path, test_mode, pipeline):
    return dict(
        type='CocoDataset',
        data_root=str(path.parent),
        ann_file=path.name,
        data_prefix=dict(img=''),
        metainfo=dict(classes=CLASSES),
        test_mode=test_mode,
        pipeline=pipeline,
        serialize_data=False,  # it would collect garbage each time, which takes a second
    )


def load(config):
    """What the loader makes of all images: boxes, labels and masks as MMDetection has them."""
    loaded = CocoDataset(**{k: v for k, v in config.items() if k != 'type'})
    return loaded.metainfo, [loaded[index] for index in range(len(loaded))]


def scores(path, metainfo, images, masks, backend):
    """The AP of detections that are exactly what was loaded."""
    metric = CocoAP(str(path), ['bbox', 'segm'] if masks else 'bbox', backend)
    metric.dataset_meta = metainfo
    for image in images:
        instances = dict(
            bboxes=image['gt_bboxes'].tensor.numpy(),
            labels=image['gt_bboxes_labels'],
            scores=np.ones(len(image['gt_bboxes_labels'])),
        )
        if masks:
            instances['masks'] = image['gt_masks'].masks
        metric.process(None, [dict(img_id=image['img_id'], pred_instances=instances)])
    return metric.evaluate(len(images))


def passes(config, masks, monkeypatch):
    """Whether the check lets annotations through without a word."""
    doubts = []
    monkeypatch.setattr('rapidnet_mm.data.checks.checker.warn', doubts.append)
    checker = CocoChecker(config, 'val_dataloader.dataset')
    checker.evaluates_masks = masks
    try:
        checker.check()
    except UserError as error:
        line = str(error)
    else:
        return not doubts
    assert '\n' not in line
    assert config['ann_file'] in line or 'images in' in line
    return None


@pytest.mark.parametrize('masks', [True, False])
def test_what_passes_is_loaded_and_scores_one(root, files, masks, monkeypatch):
    outcomes = []

    @PROFILE
    @given(contents())
    def run(content):
        path = root / f'{masks}{next(files)}.json'
        path.write_text(json.dumps(content))
        pipeline = [LOADING[0], dict(LOADING[1], with_mask=masks)]
        load_config = dataset(path, False, pipeline)
        if passes(load_config, False, monkeypatch) is not None:
            load(load_config)
        config = dataset(path, True, pipeline)
        verdict = passes(config, masks, monkeypatch)
        outcomes.append(verdict)
        if verdict is None:
            return
        metainfo, images = load(config)
        for backend in BACKENDS:
            for name, value in scores(path, metainfo, images, masks, backend).items():
                if verdict and '_mAP' in name:
                    assert value == -1 or value == pytest.approx(1, abs=1e-9), (backend, name)

    run()
    # The property says nothing if all examples, or none, are refused.
    assert outcomes.count(None) > 20
    assert outcomes.count(True) > 20
