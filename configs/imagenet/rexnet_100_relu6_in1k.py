# ReXNet x1.0, ImageNet-1k, 224x224, 400 epochs (8 GPUs x 64 images).
# Ablation (Table A2): ReLU6 instead of SiLU, with PyTorch's arguments. The
# paper gives none.
#     tools/dist_train.sh configs/imagenet/rexnet_100_relu6_in1k.py 8
# Top-1: 77.3 % published (top-5: 93.5 %).
_base_ = ['rexnet_100_in1k.py']

model = dict(backbone=dict(act_cfg=dict(type='ReLU6')))
