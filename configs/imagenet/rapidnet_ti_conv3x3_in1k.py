# RapidNet-Ti, ImageNet-1k, 224x224, 300 epochs (8 GPUs x 128 images), distilled from RegNetY-16GF.
# Ablation: 3x3 convolutions instead of dilated ones, without positional encoding and large kernels.
#     tools/dist_train.sh configs/imagenet/rapidnet_ti_conv3x3_in1k.py 8
# Top-1: 75.7 % published.
_base_ = ['rapidnet_ti_in1k.py']

model = dict(backbone=dict(mixer='conv3x3', use_cpe=False, large_kernel_ffn=False))
