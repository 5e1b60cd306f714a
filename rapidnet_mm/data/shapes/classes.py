"""The classes of the built-in data set: names, ids and colours."""

CLASSES = ('disc', 'square', 'triangle', 'star', 'cross')
CATEGORY_IDS = (1, 2, 4, 7, 9)  # with gaps, as in COCO: code that expects no gaps fails here too
SEMANTIC_CLASSES = ('sky', 'ground', *CLASSES)  # the value in a label image is the index + 1

PALETTE = ((230, 60, 70), (60, 120, 230), (250, 190, 40), (170, 80, 220), (40, 180, 120))  # RGB
SEMANTIC_PALETTE = ((150, 200, 240), (125, 105, 75), *PALETTE)
