# ReXNet (plain), ImageNet-1k, 224x224, 400 epochs (8 GPUs x 64 images).
#     tools/dist_train.sh configs/imagenet/rexnet_plain_in1k.py 8
# Top-1: 74.8 % published (top-5: 91.9 %).
_base_ = [
    '../_base_/models/classifier_smoothed.py',
    '../_base_/datasets/imagenet_224_rexnet.py',
    '../_base_/schedules/imagenet_400e.py',
    '../_base_/runtime_fixed_size.py',
]

model = dict(
    backbone=dict(type='ReXNetPlain', out_indices=(3,)),
    head=dict(type='PooledLinearHead', in_channels=1024, dropout=0.2),
)
