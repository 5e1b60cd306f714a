# Shared by all runs: the package, the environment, logging. The settings that count epochs or
# iterations (loops, hooks, the log) are in schedules/epochs.py and schedules/iterations.py.
custom_imports = dict(imports=['rapidnet_mm', 'rapidnet_mm.models'], allow_failed_imports=False)

# For `_base_ = 'rapidnet_mm::configs/NAME.py'`: MMEngine then looks for a type (MaskRCNN) in the
# package that was named (rapidnet_mm), in every outermost dict that has a type and no _scope_.
# These two lines make the whole config the outermost dict, and give it a scope. The models are
# still looked up in default_scope.
type = 'Runner'
_scope_ = 'mmengine'

env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)
# As published: BatchNorm uses the statistics of all GPUs, and it is trained, not frozen. Without
# a GPU this has no effect.
sync_bn = 'torch'

log_level = 'INFO'
load_from = None
resume = False
