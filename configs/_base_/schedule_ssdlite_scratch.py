# schedule_ssdlite.py with twice the iterations: what replaces the ImageNet weights.
_base_ = ['schedule_ssdlite.py']

iterations = 400_000
train_cfg = dict(max_iters=iterations)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=500, end=iterations),
]
