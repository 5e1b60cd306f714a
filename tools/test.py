"""Measure a checkpoint on the test set of a config: AP of boxes and masks, or mIoU of labels."""

from rapidnet_mm import benchmark, cli, engine, outputs


def parse_args():
    parser = cli.common_parser('Measure a checkpoint on the test set of a config')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        '--show-dir', help='leave a picture of every image here: ground truth beside prediction'
    )
    parser.add_argument(
        '--score-thr', type=cli.score, default=0.3, help='detections to show (default: 0.3)'
    )
    parser.add_argument(
        '--tta', action='store_true', help='test on flipped and scaled variants, and merge'
    )
    parser.add_argument(
        '--fuse',
        action='store_true',
        help='test the inference form (BatchNorm folded into convolutions), and time both forms',
    )
    parser.add_argument(
        '--out', help='write the metrics here as json (default: WORK_DIR/metrics.json)'
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    cfg = engine.load_config(args.config, args.cfg_options, args.work_dir)
    if args.work_dir is None:
        cfg.work_dir += '/test'  # beside the record of the training, not over it
    out = outputs.writable_file(args.out or f'{cfg.work_dir}/metrics.json', '--out')
    cfg.load_from, cfg.resume = args.checkpoint, False
    if args.show_dir:
        engine.show_predictions(cfg, args.show_dir, args.score_thr)
    if args.tta:
        engine.use_tta(cfg)
    runner = engine.build_runner(cfg, launcher=args.launcher, mode='test')
    if args.fuse:
        runner.register_hook(benchmark.InferenceForm(), priority='LOWEST')
    metrics = runner.test()
    if engine.is_first_process(args.launcher):
        outputs.write_metrics(metrics, out)
        print(f'metrics are in {out}')


if __name__ == '__main__':
    cli.run(main)
