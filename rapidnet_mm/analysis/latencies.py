"""Latencies in milliseconds as the authors print them, by the names of our configs.

They were measured on the authors' machines, so only their ratios can be compared with other
machines. ReXNet: Table A1 of the paper. ReXNet-lite: README of the authors' code. The CPU times of
both are for one image on a Xeon E5-2630 v4.
"""

from __future__ import annotations

from typing import NamedTuple


class Latency(NamedTuple):
    """Printed milliseconds; '' if nothing is printed."""

    cpu: str = ''
    gpu: str = ''
    npu: str = ''  # of an iPhone 13 mini
    table: str = ''  # only latencies of the same table can be compared


REXNET = {
    'plain': ('22', '10'),
    '090': ('46', '20'),
    '100': ('47', '21'),
    '110': ('51', '24'),
    '120': ('53', '26'),
    '130': ('55', '28'),
    '140': ('57', '30'),
    '150': ('59', '31'),
    '200': ('69', '40'),
    '220': ('73', '46'),
    '300': ('96', '61'),
}
REXNET_LITE = {
    '100': ('31', '49'),
    '130': ('36', '61'),
    '150': ('39', '68'),
    '200': ('49', '90'),
}
LATENCIES = {
    **{
        f'rexnet_{name}_in1k': Latency(*pair, table='ReXNet, Table A1')
        for name, pair in REXNET.items()
    },
    **{
        f'rexnet_lite_{name}_in1k': Latency(*pair, table="README of ReXNet's code, lite")
        for name, pair in REXNET_LITE.items()
    },
    'rapidnet_ti_in1k': Latency(npu='0.9', table='RapidNet'),
}


def printed_ratio(config: str, first: str, device: str) -> float | None:
    """Return the printed latency of a config divided by that of the first config.

    Args:
        config: name of a config of ours, such as ``rexnet_plain_in1k``.
        first: name of the config to compare with.
        device: 'cpu' or 'gpu'.

    Returns:
        The ratio; None if one of them is not printed, or they are in different tables.
    """
    ours, other = (LATENCIES.get(name, Latency()) for name in (config, first))
    times = [getattr(latency, device) for latency in (ours, other)]
    if ours.table != other.table or not all(times):
        return None
    return float(times[0]) / float(times[1])
