# RapidNet-Ti, ImageNet-1k, 224x224, 300 epochs (8 GPUs x 128 images), distilled from RegNetY-16GF.
# Ablation: 1x1 convolutions instead of dilated ones, without positional encoding and large kernels.
#     tools/dist_train.sh configs/imagenet/rapidnet_ti_pointwise_in1k.py 8
# Top-1: 75.2 % published.
_base_ = ['rapidnet_ti_in1k.py']

model = dict(backbone=dict(mixer='pointwise', use_cpe=False, large_kernel_ffn=False))
