# SSDLite, ReXNet-lite x1.0, COCO 2017, 320x320, from ImageNet weights.
# No published result; the schedule is that of the other SSDLite configs, see schedule_ssdlite.py.
#     tools/dist_train.sh configs/ssdlite_rexnet_lite_100_coco.py 8
# The ImageNet weights are on Google Drive, so download them by hand: docs/weights.md.
_base_ = [
    '_base_/models/ssdlite.py',
    '_base_/datasets/coco_bbox_320.py',
    '_base_/schedules/schedule_ssdlite.py',
    '_base_/runtime.py',
]

maps = (768, 1280)  # the expansion inside the first stride-32 block, the last convolution
channels = (*maps, 512, 256, 256, 128)
model = dict(
    backbone=dict(
        type='TappedBackbone',
        backbone=dict(
            type='ReXNetLite',
            width_mult=1.0,
            out_indices=(4,),
            init_cfg=dict(type='Pretrained', checkpoint='rexnet_lite_100'),
        ),
        taps=['stages.3.0.expand', 'stages.4.0'],
    ),
    neck=dict(in_channels=maps, out_channels=channels),
    bbox_head=dict(in_channels=channels),
)
