# classifier_mixup.py with hard distillation: a second linear layer learns the class that a teacher
# predicts, RegNetY-16GF with DeiT's weights. Only training reads them. Without a teacher:
#     --cfg-options model.teacher=None model.head.distilled=False
_base_ = ['classifier_mixup.py']

model = dict(
    type='DistilledClassifier',
    teacher=dict(model='regnety_160.deit_in1k', checkpoint='regnety_160'),
    head=dict(type='TwoClassifierHead'),
)
