# The loops and hooks of epochs.py, counted in iterations. A schedule adds max_iters and
# the number of iterations between validations, and between checkpoints.
_base_ = ['epochs.py']

train_cfg = dict(type='IterBasedTrainLoop')
default_hooks = dict(logger=dict(log_metric_by_epoch=False), checkpoint=dict(by_epoch=False))
log_processor = dict(by_epoch=False)
