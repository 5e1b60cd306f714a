# ReXNet's published schedule for ImageNet: SGD 0.5 at batch 512, weight decay 1e-5, 400 epochs,
# cosine. The paper does not give the other settings. We chose Nesterov momentum 0.9, 5 epochs of
# warm-up, and no weight decay on biases and normalisation (as in timm).
_base_ = ['epochs.py']

batch = 512  # 8 GPUs x 64 images
lr = 0.5 * batch / 512
epochs = 400
warm_up = 5
train_cfg = dict(max_epochs=epochs)

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=lr, momentum=0.9, nesterov=True, weight_decay=1e-5),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
)
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=0.01,
        by_epoch=True,
        begin=0,
        end=warm_up,
        convert_to_iter_based=True,
    ),
    dict(
        type='CosineAnnealingLR',
        by_epoch=True,
        begin=warm_up,
        end=epochs,
        T_max=epochs - warm_up,
        convert_to_iter_based=True,
    ),
]
# With another number of GPUs or images: tools/train.py --auto-scale-lr makes
# lr = 0.5 * (GPUs * images per GPU) / 512.
auto_scale_lr = dict(enable=False, base_batch_size=batch)

default_hooks = dict(
    logger=dict(interval=100), checkpoint=dict(save_best='accuracy/top1', rule='greater')
)
