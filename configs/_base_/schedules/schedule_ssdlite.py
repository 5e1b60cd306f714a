# The ReXNet paper does not publish the schedule of its SSDLite tables. This is the schedule of a
# close public relative, the same for all backbones: SGD with momentum 0.9, weight decay 4e-5 and
# learning rate 0.01 per 32 images; 500 iterations of linear warm-up, then cosine; 200,000
# iterations at batch 256.
_base_ = ['iterations.py']

batch = 256  # 8 GPUs x 32 images
iterations = 200_000
interval = 10_000  # iterations between validations and between checkpoints
train_cfg = dict(max_iters=iterations, val_interval=interval)

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.01 * batch / 32, momentum=0.9, weight_decay=4e-5),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=500, end=iterations),
]
# With another number of GPUs or images: tools/train.py --auto-scale-lr makes
# lr = 0.01 * (GPUs * images per GPU) / 32.
auto_scale_lr = dict(enable=False, base_batch_size=batch)

# The paper reports the last checkpoint, so no best checkpoint is kept.
default_hooks = dict(checkpoint=dict(interval=interval, save_best=None))
