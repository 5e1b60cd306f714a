# Semantic FPN (arXiv 1901.02446): a feature pyramid of four levels, and a head that adds them up at
# stride 4. No backbone; a config adds it and the neck's in_channels.
default_scope = 'mmseg'
norm_cfg = dict(type='BN', requires_grad=True)  # becomes SyncBN on GPUs, see sync_bn in runtime.py

model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        # If an image is smaller than the crop, its crop is padded to this size.
        size=(512, 512),
        pad_val=0,
        seg_pad_val=255,
    ),
    neck=dict(type='FPN', out_channels=256, num_outs=4),
    decode_head=dict(
        type='FPNHead',
        in_channels=[256, 256, 256, 256],
        in_index=[0, 1, 2, 3],
        feature_strides=[4, 8, 16, 32],
        channels=128,
        dropout_ratio=0.1,
        num_classes=150,
        norm_cfg=norm_cfg,
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', loss_weight=1.0),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
# For tools/test.py --tta: probabilities are averaged over the variants in tta_pipeline.
tta_model = dict(type='SegTTAModel')

visualizer = dict(
    type='SegLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')], name='visualizer'
)
