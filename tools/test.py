"""Measure a checkpoint on the test set of a config: AP of boxes and masks."""

from rapidnet_mm import cli, engine


def parse_args():
    parser = cli.common_parser('Measure a checkpoint on the test set of a config')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        '--show-dir', help='leave a picture of every image here: ground truth beside prediction'
    )
    parser.add_argument(
        '--score-thr', type=float, default=0.3, help='what the pictures show (default: 0.3)'
    )
    parser.add_argument(
        '--out', help='write the metrics here as json (default: WORK_DIR/test_metrics.json)'
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    cfg = engine.load_config(args.config, args.cfg_options, args.work_dir)
    cfg.load_from, cfg.resume = args.checkpoint, False
    if args.show_dir:
        engine.show_predictions(cfg, args.show_dir, args.score_thr)
    metrics = engine.build_runner(cfg, launcher=args.launcher, mode='test').test()
    if engine.is_first_process(args.launcher):
        path = engine.write_metrics(metrics, args.out or f'{cfg.work_dir}/test_metrics.json')
        print(f'metrics are in {path}')


if __name__ == '__main__':
    cli.run(main)
