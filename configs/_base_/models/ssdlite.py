# SSDLite at 320x320 (SSD: arXiv 1512.02325; separable convolutions: arXiv 1801.04381), no backbone.
# A config adds the backbone and the channels of its two maps: the expansion inside the first
# stride-32 block (still at stride 16) and the last 1x1 convolution.
default_scope = 'mmdet'

norm_cfg = dict(type='BN', eps=1e-3, momentum=0.03)
act_cfg = dict(type='ReLU6')
init_cfg = dict(type='TruncNormal', layer='Conv2d', std=0.03)

model = dict(
    type='SingleStageDetector',
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_size_divisor=1,
    ),
    neck=dict(
        type='SSDNeck',  # maps 3 to 6: 1x1 to half of the width, then a separable 3x3 of stride 2
        level_strides=(2, 2, 2, 2),
        level_paddings=(1, 1, 1, 1),
        l2_norm_scale=None,
        use_depthwise=True,
        norm_cfg=norm_cfg,
        act_cfg=act_cfg,
        init_cfg=init_cfg,
    ),
    bbox_head=dict(
        type='SSDLiteHead',
        num_classes=80,
        use_depthwise=True,
        norm_cfg=norm_cfg,
        act_cfg=act_cfg,
        init_cfg=init_cfg,
        anchor_generator=dict(
            type='SSDLiteAnchorGenerator',  # maps of 20, 10, 5, 3, 2, 1; 3 boxes, then 6
            input_size=320,
            strides=[16, 32, 64, 107, 160, 320],
        ),
        bbox_coder=dict(
            type='DeltaXYWHBBoxCoder',
            target_means=[0.0, 0.0, 0.0, 0.0],
            target_stds=[0.1, 0.1, 0.2, 0.2],
        ),
    ),
    train_cfg=dict(
        assigner=dict(
            type='MaxIoUAssigner',
            pos_iou_thr=0.5,
            neg_iou_thr=0.5,
            min_pos_iou=0.0,
            ignore_iof_thr=-1,
            gt_max_assign_all=False,
        ),
        sampler=dict(type='PseudoSampler'),
        smoothl1_beta=1.0,
        allowed_border=-1,
        pos_weight=-1,
        neg_pos_ratio=3,
        debug=False,
    ),
    test_cfg=dict(
        nms_pre=1000,
        nms=dict(type='nms', iou_threshold=0.45),
        min_bbox_size=0,
        score_thr=0.02,
        max_per_img=200,
    ),
)
# For tools/test.py --tta: the boxes of all variants in tta_pipeline are merged.
tta_model = dict(type='DetectionTTA', nms=dict(type='nms', iou_threshold=0.45), max_per_img=200)

visualizer = dict(
    type='DetLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')], name='visualizer'
)
