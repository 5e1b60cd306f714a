"""Train the model of a config: a detector, a segmenter or a classifier."""

from __future__ import annotations

import argparse

from . import arguments

HELP = 'Train the model of a config'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    arguments.add_run_arguments(parser)
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='auto|FILE',
        help='go on from FILE, or from the last whole checkpoint in the work directory',
    )
    parser.add_argument(
        '--from-scratch',
        action='store_true',
        help='start from random weights; settings that have to change are printed',
    )
    parser.add_argument(
        '--amp',
        action='store_true',
        help='mixed precision: float16 on an NVIDIA GPU, bfloat16 elsewhere',
    )
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate with the images per step (see auto_scale_lr in the config)',
    )
    parser.add_argument(
        '--tensorboard', action='store_true', help='write logs for TensorBoard as well'
    )


@arguments.quietly
def run(args: argparse.Namespace) -> None:
    """Train."""
    from ..analysis.doctor.config.quick import warnings_before_training
    from ..analysis.summary import TrainingReport
    from ..data.checks.messages import warn
    from ..engine import config, runner
    from ..engine.options import parse_options

    if runner.is_first_process(args.launcher):
        print(f'{args.config}: checking the data and building the model')
    options = parse_options(args.cfg_options)
    cfg = config.load_config(args.config, options, args.work_dir, args.amp, args.from_scratch)
    config.set_randomness(cfg, args.seed, args.deterministic)
    if args.auto_scale_lr:
        config.scale_lr(cfg)
    if runner.is_first_process(args.launcher):
        for line in warnings_before_training(cfg):
            warn(line)
    if args.resume:
        runner.resume_from(cfg, args.resume)
    if args.tensorboard:
        config.use_tensorboard(cfg)
    trainer = runner.build_runner(cfg, launcher=args.launcher)
    report = TrainingReport(arguments.program())
    trainer.register_hook(report, priority=report.priority)
    with config.named_determinism_errors():
        trainer.train()
