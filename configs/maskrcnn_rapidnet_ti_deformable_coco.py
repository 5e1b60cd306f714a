# Mask R-CNN, RapidNet-Ti, COCO 2017, 1x (12 epochs, 8 GPUs x 2 images). Ablation: a deformable 3x3
# kernel without dilation beside a dilated one; see imagenet/rapidnet_ti_deformable_in1k.py.
# Published ImageNet top-1 of this network: 76.0; no detection number is published.
#     tools/dist_train.sh configs/maskrcnn_rapidnet_ti_deformable_coco.py 8
# No ImageNet weights of this ablation are published: train them with
# imagenet/rapidnet_ti_deformable_in1k.py, or start with --from-scratch.
_base_ = ['maskrcnn_rapidnet_ti_coco.py']

model = dict(
    backbone=dict(
        branches=(
            dict(kernel_size=3, dilation=2),
            dict(kernel_size=3, deformable=True),
        ),
        init_cfg=dict(checkpoint='rapidnet_ti_deformable'),
    )
)
