"""What the statistics of a data set refuse."""

from rapidnet_mm.data.importers.run import import_data
from rapidnet_mm.engine.recipe.statistics import check_narrow
from tests.data.importers import samples
from tests.messages import assert_says, refusal


def test_an_image_of_which_nothing_is_left_is_refused(tmp_path):
    samples.coco(tmp_path / 'data', [{}])
    data = import_data([tmp_path / 'data'], tmp_path / 'out')
    check_narrow(data, 4)  # 40 x 30
    path = data.splits['val'].annotations
    path.write_text(path.read_text().replace('"width": 40', '"width": 4000'))
    assert_says(refusal(check_narrow, data, 96), '4000x30', 'too narrow')
