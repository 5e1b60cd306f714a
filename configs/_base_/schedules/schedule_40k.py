# The recipe of the PoolFormer, MobileViGv2 and RapidNet papers for Semantic FPN on ADE20K: AdamW,
# 40 000 iterations, learning rate polynomial with power 0.9 down to 0.
_base_ = ['iterations.py']

batch = 32  # 8 GPUs x 4 images
iterations = 40_000
interval = iterations // 10  # iterations between validations and between checkpoints
train_cfg = dict(max_iters=iterations, val_interval=interval)

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=2e-4 * batch / 32, weight_decay=1e-4),
)
param_scheduler = [
    dict(type='PolyLR', power=0.9, eta_min=0.0, by_epoch=False, begin=0, end=iterations)
]
# With another number of GPUs or images: tools/train.py --auto-scale-lr makes
# lr = 2e-4 * (GPUs * images per GPU) / 32.
auto_scale_lr = dict(enable=False, base_batch_size=batch)

default_hooks = dict(checkpoint=dict(interval=interval))
