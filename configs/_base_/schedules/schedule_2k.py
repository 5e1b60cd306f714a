# For a small data set, from scratch, on one device: as schedule_40k.py, with 2 000 iterations, a
# higher learning rate with a warm-up, clipped gradients and a fixed seed.
_base_ = ['schedule_40k.py']

batch = 4  # 1 GPU, or a CPU, x 4 images
iterations = 2_000
interval = iterations // 10  # iterations between validations and between checkpoints
train_cfg = dict(max_iters=iterations, val_interval=interval)

optim_wrapper = dict(optimizer=dict(lr=2e-3), clip_grad=dict(max_norm=10, norm_type=2))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type='PolyLR', power=0.9, eta_min=0.0, by_epoch=False, begin=50, end=iterations),
]
auto_scale_lr = dict(base_batch_size=batch)

randomness = dict(seed=0)
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(interval=interval, max_keep_ckpts=1))
