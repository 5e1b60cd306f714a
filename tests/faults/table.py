"""All planted faults, with the commands that meet them."""

from . import checkpoints, config, data, machine
from .fault import Area

TRAIN = 'train {}.py --work-dir work'
SEGMENTATION = TRAIN.format('segmentation')
# convert is the quickest, so every second fault meets it.
CONVERT = 'convert x.pth out.safetensors'
READERS = (
    'test segmentation.py x.pth',
    'infer segmentation.py x.pth labels/images/val --out-dir out',
    'publish segmentation.py x.pth --out-dir out',
    f'{SEGMENTATION} --resume x.pth',
    f'{SEGMENTATION} --cfg-options load_from=x.pth',
    f'{SEGMENTATION} --cfg-options model.backbone.init_cfg.type=Pretrained '
    'model.backbone.init_cfg.checkpoint=x.pth',
)
CHECKPOINT_COMMANDS = tuple(command for reader in READERS for command in (CONVERT, reader))
AREAS = (
    Area('detection', 'data', (TRAIN.format('detection'),), data.DETECTION),
    Area('labels', 'labels', (SEGMENTATION,), data.LABELS),
    Area('config', '.', (TRAIN.format('mine'),), config.FAULTS),
    Area('checkpoint', 'x.pth', CHECKPOINT_COMMANDS, tuple(checkpoints.FAULTS)),
    Area('machine', 'work', (f'{SEGMENTATION} --resume',), machine.FAULTS),
)
CASES = [case for area in AREAS for case in area.cases()]
