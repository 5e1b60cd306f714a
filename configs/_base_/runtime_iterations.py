# runtime.py for schedules that count iterations instead of epochs.
_base_ = ['runtime.py']

default_hooks = dict(checkpoint=dict(by_epoch=False, interval=10_000))
log_processor = dict(by_epoch=False)
