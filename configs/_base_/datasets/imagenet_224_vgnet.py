# ImageNet-1k as in imagenet_224_rexnet.py, with the test images of VGNet's authors: the short side
# at 232, bilinear, then the crop. The accuracies of version 2 were measured like this.
_base_ = ['imagenet_224_rexnet.py']

test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=232, edge='short', backend='pillow', interpolation='bilinear'),
    dict(type='CenterCrop', crop_size=224),
    dict(type='PackInputs'),
]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
