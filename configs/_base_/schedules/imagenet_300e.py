# The schedule of the RapidNet and MobileViG papers for ImageNet: AdamW, mixed precision, averaged
# weights, a cosine over 300 epochs. A linear warm-up replaces its first 20 epochs. The rate changes
# once per epoch. No weight decay on biases and normalisation, as in timm.
_base_ = ['epochs.py']

batch = 1024  # 8 GPUs x 128 images
lr = 2e-3 * batch / 1024
epochs = 300
warm_up = 20
train_cfg = dict(max_epochs=epochs)

optim_wrapper = dict(
    type='MixedPrecision',
    optimizer=dict(type='AdamW', lr=lr, weight_decay=0.05),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
)
param_scheduler = [
    dict(type='CosineWithWarmUpLR', end=epochs, warm_up=warm_up, warm_up_start=1e-6, eta_min=1e-5)
]
# With another number of GPUs or images: tools/train.py --auto-scale-lr makes
# lr = 2e-3 * (GPUs * images per GPU) / 1024.
auto_scale_lr = dict(enable=False, base_batch_size=batch)

custom_hooks = [
    *_base_.custom_hooks,
    # Statistics of BatchNorm are averaged too, as in timm.
    dict(type='mmengine.EMAHook', momentum=1 - 0.99996, update_buffers=True),
    # The authors validate the model itself after every epoch, so here it is validated too.
    dict(type='UnaveragedMetricsHook'),
]
default_hooks = dict(
    logger=dict(interval=100), checkpoint=dict(save_best='accuracy/top1', rule='greater')
)
