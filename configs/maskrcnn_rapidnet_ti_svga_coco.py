# Mask R-CNN, RapidNet-Ti, COCO 2017, 1x (12 epochs, 8 GPUs x 2 images). Ablation: MobileViG's
# static graph instead of dilated convolutions, without positional encoding and large kernels.
# No row of the paper: it compares with MobileViG-Ti itself. Nothing is published of this network.
#     tools/dist_train.sh configs/maskrcnn_rapidnet_ti_svga_coco.py 8
# No ImageNet weights of this ablation are published: put your own at
# checkpoints/rapidnet_ti_svga.pth, or start with --from-scratch.
_base_ = ['maskrcnn_rapidnet_ti_coco.py']

model = dict(
    backbone=dict(
        mixer='svga',
        use_cpe=False,
        large_kernel_ffn=False,
        init_cfg=dict(checkpoint='rapidnet_ti_svga'),
    )
)
