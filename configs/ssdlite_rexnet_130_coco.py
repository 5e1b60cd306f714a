# SSDLite, ReXNet x1.3, COCO 2017, 320x320, from ImageNet weights.
# Published AP / AP50 / AP75: 27.1 / 44.7 / 27.4 (Table A3). The paper's
# schedule is not published; the one here is the same for all backbones, see schedule_ssdlite.py.
#     tools/dist_train.sh configs/ssdlite_rexnet_130_coco.py 8
_base_ = [
    '_base_/models/ssdlite.py',
    '_base_/datasets/coco_bbox_320.py',
    '_base_/schedules/schedule_ssdlite.py',
    '_base_/runtime.py',
]

maps = (1002, 1664)  # the expansion inside the first stride-32 block, the last convolution
channels = (*maps, 512, 256, 256, 128)
model = dict(
    backbone=dict(
        type='TappedBackbone',
        backbone=dict(
            type='ReXNet',
            width_mult=1.3,
            out_indices=(4,),
            init_cfg=dict(type='Pretrained', checkpoint='rexnet_130'),
        ),
        taps=['stages.3.0.expand', 'stages.4.0'],
    ),
    neck=dict(in_channels=maps, out_channels=channels),
    bbox_head=dict(in_channels=channels),
)
