# ReXNet-lite x2.0, ImageNet-1k, 224x224, 400 epochs (8 GPUs x 64 images).
#     tools/dist_train.sh configs/imagenet/rexnet_lite_200_in1k.py 8
# Top-1: 80.2 % published.
_base_ = ['../_base_/schedule_imagenet_rexnet.py']

model = dict(
    backbone=dict(type='ReXNetLite', width_mult=2.0, out_indices=(4,)),
    head=dict(type='ReXNetLiteHead', in_channels=2560),
)
