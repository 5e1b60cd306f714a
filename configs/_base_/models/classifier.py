# An image classifier for ImageNet's 1000 classes, no backbone. A config adds the
# backbone, and type and in_channels of the head. The loss is the head's default: cross entropy.
default_scope = 'mmpretrain'

num_classes = 1000
model = dict(
    type='ImageClassifier',
    data_preprocessor=dict(
        type='ClsDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        to_rgb=True,
        num_classes=num_classes,
    ),
    head=dict(num_classes=num_classes),
)

visualizer = dict(
    type='UniversalVisualizer', vis_backends=[dict(type='LocalVisBackend')], name='visualizer'
)
