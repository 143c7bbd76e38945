"""Commands for FPGAs."""

from pathlib import Path

import click

from gradgate.arch.config import Config
from gradgate.cli.output import require_outputs, require_sources, write_json


@click.command()
@click.option("--config", "config_name", default="small", help="Preset (tiny, small, base, paper) or TOML file.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=Path("build/synth"), help="Directory for Yosys' files.")
@click.option("--json", "json_path", type=click.Path(dir_okay=False, path_type=Path), default=None,
              help="Write all figures here; with --docs by configuration.")
@click.option("--period", type=click.FloatRange(0.1, 1000), default=None, show_default="as short as possible",
              help="ns that paths may take without routing; logic that is faster is made smaller.")
@click.option("--docs", default=None, help="Instead: synthesise these configurations, separated by commas, and write docs/resources.md.")
def synth(config_name, out, json_path, period, docs):
    """Synthesise a core for ECP5 and count what each unit takes. Minutes."""
    from datetime import date

    from tqdm import tqdm

    from gradgate.fpga import report, synthesis

    configs = [Config.load(name) for name in (docs.split(",") if docs is not None else [config_name])]
    page = Path("docs/resources.md")
    if docs is not None:
        require_sources(page)
    require_outputs(out, json_path)
    results = []
    with tqdm(total=3 * len(configs), disable=None, bar_format="{desc} {n}/{total} {elapsed}") as bar:
        for config in configs:
            def progress(step, name=config.name):
                bar.set_description_str(f"{name}: {step}")
                bar.update()
            results.append(synthesis.run(config, out / config.name if docs else out, period=period, progress=progress))
    if docs is not None:
        page.write_text(report.page(results, date.today().isoformat()), encoding="utf-8")
        click.echo(page)
        write_json(json_path, {result.config.name: result.json() for result in results})
    else:
        click.echo(report.report(results[0]))
        write_json(json_path, results[0].json())
