# semfpn_128.py for CamVid's eleven classes. Rare classes count more: the weights are square roots
# of median frequency / frequency (arXiv 1511.00561).
_base_ = ['semfpn_128.py']

model = dict(
    data_preprocessor=dict(size=(288, 288)),
    decode_head=dict(
        num_classes=11,
        loss_decode=dict(
            type='WeightedCrossEntropy',
            class_weight=[0.5, 0.4, 2.1, 0.4, 1.0, 0.6, 3.1, 1.4, 0.8, 2.5, 2.7],
        ),
    ),
)
