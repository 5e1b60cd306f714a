# The recipe of the RapidNet, MobileViG and PoolFormer papers for COCO: AdamW, 12 epochs, a tenth of
# the learning rate after epochs 8 and 11, linear warm-up over 500 iterations.
_base_ = ['epochs.py']

batch = 16  # 8 GPUs x 2 images
train_cfg = dict(max_epochs=12)

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=2e-4 * batch / 16, weight_decay=0.05),
)
param_scheduler = [
    # MMEngine reaches the full rate at iteration end - 1, which is 500.
    dict(type='LinearLR', start_factor=1e-6, by_epoch=False, begin=0, end=500 + 1),
    dict(type='MultiStepLR', by_epoch=True, begin=0, end=12, milestones=[8, 11], gamma=0.1),
]
# With another number of GPUs or images: tools/train.py --auto-scale-lr makes
# lr = 2e-4 * (GPUs * images per GPU) / 16.
auto_scale_lr = dict(enable=False, base_batch_size=batch)
