# SSDLite, ReXNet (plain), COCO 2017, 320x320, from scratch: there are no published weights, so it
# has the schedule of the other _scratch configs. This network has no expansions, so the
# maps are its last blocks at strides 16 and 32.
#     tools/dist_train.sh configs/ssdlite_rexnet_plain_coco.py 8
_base_ = [
    '_base_/models/ssdlite.py',
    '_base_/datasets/coco_bbox_320.py',
    '_base_/schedules/schedule_ssdlite.py',
    '_base_/runtime.py',
]

iterations = 2 * _base_.iterations
maps = (576, 1024)
channels = (*maps, 512, 256, 256, 128)
model = dict(
    backbone=dict(type='ReXNetPlain', out_indices=(2, 3)),
    neck=dict(in_channels=maps, out_channels=channels),
    bbox_head=dict(in_channels=channels),
)
train_cfg = dict(max_iters=iterations)
param_scheduler = [
    _base_.param_scheduler[0],
    dict(type='CosineAnnealingLR', by_epoch=False, begin=500, end=iterations),
]
