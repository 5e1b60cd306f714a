# SSDLite, ReXNet x0.9, COCO 2017, 320x320, from scratch with twice the iterations.
# Published AP / AP50 / AP75: 25.3 / 41.4 / 25.9 (Table A4). The paper's
# schedule is not published; the one here is the same for all backbones, see schedule_ssdlite.py.
#     tools/dist_train.sh configs/ssdlite_rexnet_090_coco_scratch.py 8
_base_ = ['ssdlite_rexnet_090_coco.py']

iterations = 2 * _base_.iterations
model = dict(backbone=dict(backbone=dict(init_cfg=None)))
train_cfg = dict(max_iters=iterations)
param_scheduler = [
    _base_.param_scheduler[0],
    dict(type='CosineAnnealingLR', by_epoch=False, begin=500, end=iterations),
]
