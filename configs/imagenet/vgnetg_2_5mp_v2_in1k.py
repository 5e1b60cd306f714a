# VGNetG-2.5MP, version 2 (the authors' later network), ImageNet-1k, 224x224,
# 400 epochs (8 GPUs x 64 images).
#     tools/dist_train.sh configs/imagenet/vgnetg_2_5mp_v2_in1k.py 8
# Top-1: 73.740 % published (top-5: 91.516 %).
# We do not know the authors' recipe. This is the recipe of ReXNet.
_base_ = [
    '../_base_/models/classifier_smoothed.py',
    '../_base_/datasets/imagenet_224_vgnet.py',
    '../_base_/schedules/imagenet_400e.py',
    '../_base_/runtime_fixed_size.py',
]

model = dict(
    backbone=dict(type='VGNet', arch='g_2_5mp', version='v2', out_indices=(3,)),
    head=dict(type='PooledLinearHead', in_channels=544, dropout=0.2),
)
