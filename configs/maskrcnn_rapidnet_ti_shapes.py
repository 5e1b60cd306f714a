# Mask R-CNN, RapidNet-Ti, on the built-in data set: a demo that learns from scratch on two CPU
# cores in a few minutes.
#     python tools/make_shapes.py && python tools/train.py configs/maskrcnn_rapidnet_ti_shapes.py
_base_ = [
    '_base_/models/maskrcnn_fpn.py',
    '_base_/datasets/shapes_instance.py',
    '_base_/schedules/schedule_1x.py',
    '_base_/runtime.py',
]

epochs = 5
width = 128  # half of the usual 256, and fewer regions: small scenes, few objects, five classes
roi_layer = dict(sampling_ratio=1)
model = dict(
    # From scratch in minutes: the published 1e-5 would keep the blocks switched off too long.
    backbone=dict(type='RapidNet', arch='ti', layer_scale_init=0.5),
    neck=dict(in_channels=[32, 64, 112, 224], out_channels=width),
    rpn_head=dict(in_channels=width, feat_channels=width, anchor_generator=dict(scales=[4])),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=width, roi_layer=roi_layer),
        bbox_head=dict(in_channels=width, fc_out_channels=256, num_classes=5),
        mask_roi_extractor=dict(out_channels=width, roi_layer=roi_layer),
        mask_head=dict(num_convs=2, in_channels=width, conv_out_channels=width, num_classes=5),
    ),
    train_cfg=dict(
        rpn=dict(sampler=dict(num=128)),
        rpn_proposal=dict(nms_pre=500, max_per_img=200),
        rcnn=dict(sampler=dict(num=64)),
    ),
    test_cfg=dict(rpn=dict(nms_pre=500, max_per_img=200)),
)
train_cfg = dict(max_epochs=epochs, val_interval=epochs)
optim_wrapper = dict(optimizer=dict(lr=1e-3), clip_grad=dict(max_norm=10, norm_type=2))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', by_epoch=True, T_max=epochs, convert_to_iter_based=True),
]
auto_scale_lr = dict(base_batch_size=2)
randomness = dict(seed=0)
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(max_keep_ckpts=1))
