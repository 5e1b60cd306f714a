# RapidNet-Ti, ImageNet-1k, 224x224, 300 epochs (8 GPUs x 128 images), distilled from RegNetY-16GF.
# Ablation: one dilated level instead of two, with positional encoding, without large kernels.
#     tools/dist_train.sh configs/imagenet/rapidnet_ti_sldc_cpe_in1k.py 8
# Top-1: 75.9 % published.
_base_ = ['rapidnet_ti_in1k.py']

model = dict(backbone=dict(mixer='sldc', large_kernel_ffn=False))
