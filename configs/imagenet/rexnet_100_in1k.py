# ReXNet x1.0, ImageNet-1k, 224x224, 400 epochs (8 GPUs x 64 images).
#     tools/dist_train.sh configs/imagenet/rexnet_100_in1k.py 8
# Top-1: 77.9 % published (top-5: 93.9 %).
_base_ = [
    '../_base_/models/classifier_smoothed.py',
    '../_base_/datasets/imagenet_224_rexnet.py',
    '../_base_/schedules/imagenet_400e.py',
    '../_base_/runtime_fixed_size.py',
]

model = dict(
    backbone=dict(type='ReXNet', width_mult=1.0, out_indices=(4,)),
    head=dict(type='PooledLinearHead', in_channels=1280, dropout=0.2),
)
