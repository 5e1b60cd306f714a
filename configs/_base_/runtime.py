# What every run shares: hooks, environment, logging.
custom_imports = dict(imports=['rapidnet_mm', 'rapidnet_mm.models'], allow_failed_imports=False)

# To whoever inherits by package name MMEngine gives the outermost dicts that have a type with the
# package as their scope, and would look for MaskRCNN in rapidnet_mm. Here the outermost is the
# whole config, which has a scope already, and default_scope stays what counts.
type = 'Runner'
_scope_ = 'mmengine'

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='AtomicCheckpointHook', interval=1, max_keep_ckpts=3, save_best='auto'),
    sampler_seed=dict(type='DistSamplerSeedHook'),
)
custom_hooks = [dict(type='CurvesHook'), dict(type='TrimMemoryHook')]

env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)
# As published: statistics over all GPUs, trained, not frozen. Without a GPU it has no effect.
sync_bn = 'torch'

log_processor = dict(type='LogProcessor', window_size=50, by_epoch=True)
log_level = 'INFO'
load_from = None
resume = False
