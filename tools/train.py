"""Train what a config says: a detector, a segmenter or a classifier."""

from rapidnet_mm import cli, engine


def parse_args():
    parser = cli.common_parser('Train the model of a config')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='auto|FILE',
        help='go on from FILE, or from the last whole checkpoint in the work directory',
    )
    parser.add_argument(
        '--amp', action='store_true', help='mixed precision: float16 on a GPU, bfloat16 on the CPU'
    )
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate with the images per step (see auto_scale_lr in the config)',
    )
    parser.add_argument(
        '--tensorboard', action='store_true', help='write logs for TensorBoard as well'
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    cfg = engine.load_config(args.config, args.cfg_options, args.work_dir, amp=args.amp)
    if args.auto_scale_lr:
        engine.scale_lr(cfg)
    if args.resume:
        engine.resume_from(cfg, args.resume)
    if args.tensorboard:
        engine.use_tensorboard(cfg)
    engine.build_runner(cfg, launcher=args.launcher).train()


if __name__ == '__main__':
    cli.run(main)
