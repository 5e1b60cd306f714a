# Mask R-CNN, RapidNet-Ti, COCO 2017, 1x (12 epochs, 8 GPUs x 2 images). Ablation: plain 3x3
# convolutions instead of dilated ones, without positional encoding and large kernels.
# Published ImageNet top-1 of this network: 75.7; no detection number is published.
#     tools/dist_train.sh configs/maskrcnn_rapidnet_ti_conv3x3_coco.py 8
# No ImageNet weights of this ablation are published: train them with
# imagenet/rapidnet_ti_conv3x3_in1k.py, or start with --from-scratch.
_base_ = ['maskrcnn_rapidnet_ti_coco.py']

model = dict(
    backbone=dict(
        mixer='conv3x3',
        use_cpe=False,
        large_kernel_ffn=False,
        init_cfg=dict(checkpoint='rapidnet_ti_conv3x3'),
    )
)
