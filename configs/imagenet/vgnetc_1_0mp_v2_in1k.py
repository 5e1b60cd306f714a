# VGNetC-1.0MP, version 2 (the authors' later network), ImageNet-1k, 224x224,
# 400 epochs (8 GPUs x 64 images).
#     tools/dist_train.sh configs/imagenet/vgnetc_1_0mp_v2_in1k.py 8
# We do not know the authors' recipe. This is the recipe of ReXNet.
_base_ = [
    '../_base_/models/classifier_smoothed.py',
    '../_base_/datasets/imagenet_224_vgnet.py',
    '../_base_/schedules/imagenet_400e.py',
    '../_base_/runtime_fixed_size.py',
]

model = dict(
    backbone=dict(type='VGNet', arch='c_1_0mp', version='v2', out_indices=(3,)),
    head=dict(type='PooledLinearHead', in_channels=368, dropout=0.2),
)
