# classifier_mixup.py with hard distillation: a second linear layer learns the class that a teacher
# predicts, RegNetY-16GF with DeiT's weights. Only training reads this file. Get it once:
#     pip install timm && mkdir -p checkpoints && python -c "import timm, torch; torch.save(
#         timm.create_model('regnety_160.deit_in1k', pretrained=True).state_dict(),
#         'checkpoints/regnety_160.pth')"
# The authors' file works as it is, too. Without a teacher:
#     --cfg-options model.teacher=None model.head.distilled=False
_base_ = ['classifier_mixup.py']

model = dict(
    type='DistilledClassifier',
    teacher=dict(model='regnety_160.deit_in1k', checkpoint='checkpoints/regnety_160.pth'),
    head=dict(type='TwoClassifierHead'),
)
