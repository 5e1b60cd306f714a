# schedule_imagenet_rapidnet.py with hard distillation: a second classifier learns what RegNetY-16GF
# says, with DeiT's weights. Their file is read when a training begins; testing needs none. Once:
#     pip install timm && mkdir -p checkpoints && python -c "import timm, torch; torch.save(
#         timm.create_model('regnety_160.deit_in1k', pretrained=True).state_dict(),
#         'checkpoints/regnety_160.pth')"
# The authors' file goes in as it is, too. Without a teacher:
#     --cfg-options model.teacher=None model.head.distilled=False
_base_ = ['schedule_imagenet_rapidnet.py']

model = dict(
    type='DistilledClassifier',
    teacher=dict(model='regnety_160.deit_in1k', checkpoint='checkpoints/regnety_160.pth'),
    head=dict(type='TwoClassifierHead'),
)
