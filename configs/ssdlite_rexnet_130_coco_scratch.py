# SSDLite, ReXNet x1.3, COCO 2017, 320x320, from scratch with twice the iterations.
# Published AP / AP50 / AP75: 27.7 / 45.1 / 28.0 (Table A4). The paper's
# schedule is not published; the one here is the same for all backbones, see schedule_ssdlite.py.
#     tools/dist_train.sh configs/ssdlite_rexnet_130_coco_scratch.py 8
_base_ = [
    '_base_/ssdlite.py',
    '_base_/coco_bbox_320.py',
    '_base_/schedule_ssdlite_scratch.py',
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
        ),
        taps=['stages.3.0.expand', 'stages.4.0'],
    ),
    neck=dict(in_channels=maps, out_channels=channels),
    bbox_head=dict(in_channels=channels),
)
