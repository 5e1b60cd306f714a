"""Measure a checkpoint on the test set of a config: AP, mIoU or accuracy."""

from __future__ import annotations

import argparse

from . import arguments

HELP = 'Measure a checkpoint on the test set of a config'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    arguments.add_run_arguments(parser)
    parser.add_argument('checkpoint', help='checkpoint: file, URL or name (rapidnet weights list)')
    parser.add_argument(
        '--show-dir', help='write a picture of every image here: ground truth beside prediction'
    )
    parser.add_argument(
        '--score-thr',
        type=arguments.score,
        default=0.3,
        help='least score in pictures (default: 0.3)',
    )
    parser.add_argument(
        '--tta', action='store_true', help='average over flipped and scaled variants of each image'
    )
    parser.add_argument(
        '--fuse',
        action='store_true',
        help='test the inference form (BatchNorm folded into convolutions), and time both forms',
    )
    parser.add_argument(
        '--format-only',
        action='store_true',
        help="write the files for COCO's test server (results.bbox.json, results.segm.json in the "
        'work directory), and compute no metrics; the test set needs no annotations',
    )
    parser.add_argument(
        '--dump', metavar='FILE', help='write all predictions into this pickle file (.pkl)'
    )
    parser.add_argument(
        '--out',
        help='json file for the metrics (default: work_dirs/CONFIG_NAME/test/metrics.json)',
    )


@arguments.quietly
def run(args: argparse.Namespace) -> None:
    """Measure."""
    from ..analysis.speed.inference_form import InferenceForm
    from ..engine import config, runner
    from ..engine.metrics.dump import dump_predictions
    from ..engine.options import parse_options
    from ..files import writable_file, write_metrics

    options = parse_options(args.cfg_options)
    cfg = config.load_config(args.config, options, args.work_dir)
    if args.work_dir is None:
        cfg.work_dir += '/test'  # not over the files of the training
    out = writable_file(args.out or f'{cfg.work_dir}/metrics.json', '--out')
    config.set_randomness(cfg, args.seed, args.deterministic)
    files = config.format_only(cfg) if args.format_only else []
    cfg.load_from, cfg.resume = args.checkpoint, False
    if args.show_dir:
        config.show_predictions(cfg, args.show_dir, args.score_thr)
    if args.tta:
        config.use_tta(cfg)
    tester = runner.build_runner(cfg, launcher=args.launcher, mode='test')
    if args.fuse:
        tester.register_hook(InferenceForm(), priority='LOWEST')
    if args.dump:
        dump_predictions(tester, args.dump)
    with config.named_determinism_errors():
        metrics = tester.test()
    if not runner.is_first_process(args.launcher):
        return
    if args.format_only:
        print(f'results are in {", ".join(files)}')
    else:
        write_metrics(metrics, out)
        print(f'metrics are in {out}')
    if args.dump:
        print(f'predictions are in {args.dump}')
