# The classifier of the RapidNet and MobileViG papers: it learns from mixed images (Mixup, CutMix)
# and smoothed labels.
_base_ = ['classifier_smoothed.py']

model = dict(
    # Each batch gets one of the two, drawn at random.
    train_cfg=dict(augments=[dict(type='Mixup', alpha=0.8), dict(type='CutMix', alpha=1.0)]),
)
