# runtime.py for images that all have one size: cuDNN tries its algorithms and keeps the fastest.
_base_ = ['runtime.py']

env_cfg = dict(cudnn_benchmark=True)
