# SSDLite, EfficientNet-B2, COCO 2017, 320x320, from ImageNet weights.
# Published AP / AP50 / AP75: 26.4 / 43.4 / 26.6 (Table A3). The paper's
# schedule is not published; the one here is the same for all backbones, see schedule_ssdlite.py.
#     tools/dist_train.sh configs/ssdlite_efficientnet_b2_coco.py 8
_base_ = [
    '_base_/models/ssdlite.py',
    '_base_/datasets/coco_bbox_320.py',
    '_base_/schedules/schedule_ssdlite.py',
    '_base_/runtime.py',
]

maps = (720, 1408)  # the expansion inside the first stride-32 block, the last convolution
channels = (*maps, 512, 256, 256, 128)
model = dict(
    backbone=dict(
        type='TappedBackbone',
        backbone=dict(
            type='TFEfficientNet',
            arch='b2',
            out_indices=(4,),
            init_cfg=dict(type='Pretrained', checkpoint='tf_efficientnet_b2_ns'),
        ),
        taps=['layers.5.0.expand_conv', 'layers.6'],
    ),
    neck=dict(in_channels=maps, out_channels=channels),
    bbox_head=dict(in_channels=channels),
)
