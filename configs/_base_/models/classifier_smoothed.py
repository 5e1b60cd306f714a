# The classifier of all ImageNet recipes here: it learns from smoothed labels.
_base_ = ['classifier.py']

smoothing = 0.1
model = dict(
    head=dict(
        loss=dict(
            type='LabelSmoothLoss',
            label_smooth_val=smoothing,
            num_classes=_base_.num_classes,
            mode='original',
        )
    ),
)
