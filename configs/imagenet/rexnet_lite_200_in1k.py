# ReXNet-lite x2.0, ImageNet-1k, 224x224, 400 epochs (8 GPUs x 64 images).
#     tools/dist_train.sh configs/imagenet/rexnet_lite_200_in1k.py 8
# Top-1: 80.2 % published (top-5: 95.0 %).
_base_ = [
    '../_base_/models/classifier_smoothed.py',
    '../_base_/datasets/imagenet_224_rexnet.py',
    '../_base_/schedules/imagenet_400e.py',
    '../_base_/runtime_fixed_size.py',
]

model = dict(
    backbone=dict(type='ReXNetLite', width_mult=2.0, out_indices=(4,)),
    head=dict(type='ReXNetLiteHead', in_channels=2560),
)
