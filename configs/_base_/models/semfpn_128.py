# semfpn.py at half of its width, for small data sets: hundreds of images, about ten classes.
_base_ = ['semfpn.py']

width = 128
model = dict(
    neck=dict(out_channels=width),
    decode_head=dict(in_channels=[width] * 4, channels=width // 2),
)
