# ReXNet-lite x1.0, ImageNet-1k, 224x224, 400 epochs (8 GPUs x 64 images).
#     tools/dist_train.sh configs/imagenet/rexnet_lite_100_in1k.py 8
# Top-1: 76.2 % published (top-5: 92.8 %).
_base_ = [
    '../_base_/models/classifier_smoothed.py',
    '../_base_/datasets/imagenet_224_rexnet.py',
    '../_base_/schedules/imagenet_400e.py',
    '../_base_/runtime_fixed_size.py',
]

model = dict(
    backbone=dict(type='ReXNetLite', width_mult=1.0, out_indices=(4,)),
    head=dict(type='ReXNetLiteHead', in_channels=1280),
)
