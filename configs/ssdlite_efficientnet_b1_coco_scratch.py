# SSDLite, EfficientNet-B1, COCO 2017, 320x320, from scratch with twice the iterations.
# Published AP / AP50 / AP75: 25.6 / 41.9 / 26.0 (Table A4). The paper's
# schedule is not published; the one here is the same for all backbones, see schedule_ssdlite.py.
#     tools/dist_train.sh configs/ssdlite_efficientnet_b1_coco_scratch.py 8
_base_ = [
    '_base_/ssdlite.py',
    '_base_/coco_bbox_320.py',
    '_base_/schedule_ssdlite_scratch.py',
]

maps = (672, 1280)  # the expansion inside the first stride-32 block, the last convolution
channels = (*maps, 512, 256, 256, 128)
model = dict(
    backbone=dict(
        type='TappedBackbone',
        backbone=dict(
            type='TFEfficientNet',
            arch='b1',
            out_indices=(4,),
        ),
        taps=['layers.5.0.expand_conv', 'layers.6'],
    ),
    neck=dict(in_channels=maps, out_channels=channels),
    bbox_head=dict(in_channels=channels),
)
