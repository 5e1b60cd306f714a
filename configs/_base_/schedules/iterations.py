# The loops and hooks of epochs.py, counted in iterations. A schedule adds max_iters, and how many
# iterations there are from one validation, and checkpoint, to the next.
_base_ = ['epochs.py']

train_cfg = dict(type='IterBasedTrainLoop')
default_hooks = dict(logger=dict(log_metric_by_epoch=False), checkpoint=dict(by_epoch=False))
log_processor = dict(by_epoch=False)
