# ReXNet's published schedule for ImageNet: SGD 0.5 at batch 512, weight decay 1e-5, mixed
# precision, 400 epochs, cosine. The authors trained with timm's train.py. Where they say
# nothing, these are timm's defaults of 2020: Nesterov momentum 0.9, no weight decay on biases and
# normalisation, a linear warm-up from 1e-4 in place of the first 3 epochs, a lowest rate of 1e-5.
# The rate changes once per epoch.
_base_ = ['epochs.py']

batch = 512  # 8 GPUs x 64 images
lr = 0.5 * batch / 512
epochs = 400
warm_up = 3
train_cfg = dict(max_epochs=epochs)

optim_wrapper = dict(
    type='MixedPrecision',
    optimizer=dict(type='SGD', lr=lr, momentum=0.9, nesterov=True, weight_decay=1e-5),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
)
param_scheduler = [
    dict(type='CosineWithWarmUpLR', end=epochs, warm_up=warm_up, warm_up_start=1e-4, eta_min=1e-5)
]
# With another number of GPUs or images: tools/train.py --auto-scale-lr makes
# lr = 0.5 * (GPUs * images per GPU) / 512.
auto_scale_lr = dict(enable=False, base_batch_size=batch)

default_hooks = dict(
    logger=dict(interval=100), checkpoint=dict(save_best='accuracy/top1', rule='greater')
)
