"""The commands. Thin: they read arguments, call one function, and turn errors into one line.

Everything heavy is imported inside a command, so that ``ullage --help`` starts at once.
"""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from ullage import __version__
from ullage.cache_cli import cache_app
from ullage.cli_common import Json, open_console, print_json
from ullage.errors import UllageError
from ullage.gate_cli import gate
from ullage.items_cli import canaries, compositions, distances, requests
from ullage.lab.cli import lab_app
from ullage.probes_cli import probe, probes
from ullage.serve.cli import serve
from ullage.statement_cli import statement_app
from ullage.trial.cli import trial_app

if TYPE_CHECKING:
    from rich.console import Console

    from ullage.config import Loaded
    from ullage.demo import Demo
    from ullage.progress import Reporter
    from ullage.statement.document import Statement

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it (128 + SIGINT)."""

_UsageError: Any = next(
    base for base in typer.BadParameter.__mro__ if base.__name__ == "UsageError"
)
"""Typer carries its own copy of click since 0.20; this names the class in either."""

app = typer.Typer(
    name="ullage",
    help="Distil large models into small ones, and account for what the small one lost.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(statement_app, name="statement")
app.add_typer(cache_app, name="cache")
app.add_typer(lab_app, name="lab")
app.add_typer(trial_app, name="trial")

ConfigPath = Annotated[Path, typer.Argument(help="The configuration file.", metavar="CONFIG")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("-o", "--override", metavar="KEY=VALUE", help="Override one key; repeatable."),
]
RunName = Annotated[
    str | None, typer.Option("--run", metavar="NAME", help="Name of the run folder.")
]
DEFAULT_CONFIG = Path("ullage.yaml")


class StepName(StrEnum):
    """Steps of an audit that can be run again alone."""

    COLLECT = "collect"
    SCORE = "score"
    JUDGE = "judge"
    STATE = "state"


class ProfileName(StrEnum):
    """Profiles of `ullage.config.profiles`, which takes too long to import for ``--help``."""

    QUICK = "quick"
    STANDARD = "standard"
    THOROUGH = "thorough"


class SchemaName(StrEnum):
    """Schemas that editors and other tools want."""

    CONFIG = "config"
    SCENARIO = "scenario"
    STATEMENT = "statement"
    POLICY = "policy"


WithProfile = Annotated[
    ProfileName | None,
    typer.Option("--profile", help="How much to ask, instead of what the configuration says."),
]


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Distil large models into small ones, and account for what the small one lost."""
    if version:
        typer.echo(__version__)
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command()
def init(
    path: Annotated[Path, typer.Argument(help="File to write.")] = DEFAULT_CONFIG,
    scenario: Annotated[
        str | None, typer.Option("--scenario", metavar="NAME", help="Packaged scenario to use.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
) -> None:
    """Write a commented ullage.yaml to start from."""
    import json

    from ullage.config.schema import config_schema
    from ullage.config.template import SCHEMA_FILE, init_text
    from ullage.errors import InputError
    from ullage.files import write_together

    text = init_text(scenario)
    if path.exists() and not force:
        raise InputError(f"{path}: is already there; use --force to replace it, or another name")
    if not path.parent.is_dir():
        raise InputError(f"{path.parent}: no such folder; make it first")
    schema_text = json.dumps(config_schema(), indent=2) + "\n"
    write_together(path.parent, {path.name: text.encode(), SCHEMA_FILE: schema_text.encode()})
    typer.echo(f"wrote {path}; name your models in it, then: ullage validate {path}")


@app.command()
def validate(
    config: ConfigPath = DEFAULT_CONFIG,
    override: Overrides = None,
    json_: Json = False,
) -> None:
    """Check a configuration, its models and data."""
    from ullage.validate import validate_all

    problems = validate_all(_load(config, override))
    if json_:
        print_json({"ok": not problems, "problems": problems})
    else:
        for problem in problems:
            typer.echo(f"ullage: {problem}", err=True)
        if not problems:
            typer.echo(f"{config}: fine")
    raise typer.Exit(2 if problems else 0)


app.command()(probes)
app.command()(probe)
app.command()(canaries)
app.command()(compositions)
app.command()(distances)
app.command()(requests)


@app.command()
def plan(
    config: ConfigPath = DEFAULT_CONFIG,
    override: Overrides = None,
    run: RunName = None,
    profile: WithProfile = None,
    pilot: Annotated[
        int | None,
        typer.Option(
            "--pilot",
            min=2,
            metavar="N",
            help="Ask N items per probe to learn how often the arms differ, and plan with that.",
        ),
    ] = None,
    json_: Json = False,
) -> None:
    """Say what will be asked, for what power and price."""
    import asyncio

    from ullage.planning import plan_only

    loaded = _load(config, override, profile)
    with _reporter(json_, loaded) as reporter:
        made = asyncio.run(plan_only(loaded, run=run, pilot=pilot, on_tick=reporter.tick))
    if json_:
        print_json(made.model_dump(mode="json"))
    else:
        from ullage.planning import show_plan

        show_plan(made, loaded, open_console(stderr=False))


@app.command()
def distill(
    config: ConfigPath = DEFAULT_CONFIG,
    override: Overrides = None,
    plan_only: Annotated[
        bool,
        typer.Option("--plan", help="Say what would be done and what it would take, and stop."),
    ] = False,
    preflight: Annotated[
        bool,
        typer.Option("--preflight", help="Look for what would spoil the student, and stop."),
    ] = False,
    json_: Json = False,
) -> None:
    """Make the student and the ledger of its making."""
    from ullage.distill import run_distill, run_preflight
    from ullage.distill.processes import Processes

    processes = Processes.of_environment()
    if not processes.is_first:
        _distil_beside(config, override, looks=plan_only or preflight)
    loaded = _load(config, override)
    if preflight:
        with _reporter(json_, loaded) as reporter:
            found = run_preflight(loaded.config, loaded.root, progress=reporter.distil)
        if json_:
            print_json({"ok": not found.errors, **found.as_json()})
        else:
            typer.echo("\n".join(found.lines()))
        raise typer.Exit(2 if found.errors else 0)
    with _reporter(json_, loaded) as reporter:
        result = run_distill(
            loaded.config, loaded.root, progress=reporter.distil, plan_only=plan_only
        )
    if json_:
        print_json(dict(result.ledger))
    else:
        typer.echo(result.summary())
    processes.leave()


def _distil_beside(config: Path, override: Overrides, *, looks: bool) -> NoReturn:
    """Distil together with the process that speaks, in silence; looking it does alone."""
    if looks:
        sys.exit(0)
    from ullage.distill import run_distill
    from ullage.distill.processes import Processes

    try:
        loaded = _load(config, override)
        run_distill(loaded.config, loaded.root)
    except UllageError as error:
        # Not typer's exit, of which 130 would be taken for a Ctrl-C and told.
        sys.exit(error.exit_code)
    Processes.of_environment().leave()
    sys.exit(0)


@app.command()
def coverage(
    config: ConfigPath = DEFAULT_CONFIG,
    override: Overrides = None,
    traffic: Annotated[
        Path | None,
        typer.Option(
            "--traffic", metavar="FILE", help="A sample of it; left out: the audit's own items."
        ),
    ] = None,
    radius: Annotated[
        float | None,
        typer.Option(
            "--radius",
            min=0.0,
            max=1.0,
            metavar="R",
            help="Distance up to which a question is covered.",
        ),
    ] = None,
    json_: Json = False,
) -> None:
    """Say which questions no prompt of the distillation corpus comes near."""
    from ullage.distill.coverage import run_coverage
    from ullage.distill.coverage.show import render

    loaded = _load(config, override)
    found = run_coverage(loaded.config, loaded.root, traffic=traffic, radius=radius)
    if json_:
        print_json(found.as_json())
    else:
        render(found, open_console(stderr=False))


@app.command()
def audit(
    config: ConfigPath = DEFAULT_CONFIG,
    override: Overrides = None,
    run: RunName = None,
    profile: WithProfile = None,
    begin: Annotated[
        StepName,
        typer.Option("--from", help="Run again from this step."),
    ] = StepName.COLLECT,
    stop_early: Annotated[
        bool,
        typer.Option(
            "--stop-early",
            help="Stop asking with a probe once its verdicts are in, as planning.stop_early does.",
        ),
    ] = False,
    json_: Json = False,
) -> None:
    """Ask, judge, and write the statement; resumes."""
    import asyncio

    from ullage.audit import Step, run_audit, set_up

    stops = ["planning.stop_early=true"] * stop_early
    loaded = _load(config, [*(override or ()), *stops], profile)
    setup = set_up(loaded, run)
    with _reporter(json_, loaded) as reporter:
        statement = asyncio.run(
            run_audit(
                setup,
                begin=Step(begin),
                on_plan=reporter.plan,
                on_tick=reporter.tick,
                on_step=reporter.step,
            )
        )
    _show(statement, setup.folder.path, json_)
    raise typer.Exit(statement.exit_code)


app.command()(gate)
app.command()(serve)


@app.command("import")
def import_(
    teacher: Annotated[
        Path,
        typer.Option(
            "--teacher", metavar="LOGS", help="A folder of lm-eval or Inspect logs, or one .eval."
        ),
    ],
    student: Annotated[
        Path, typer.Option("--student", metavar="LOGS", help="The same evals of the student.")
    ],
    base: Annotated[
        Path | None,
        typer.Option("--base", metavar="LOGS", help="And of the student before distillation."),
    ] = None,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FOLDER", help="Where to write the audit.")
    ] = Path("imported"),
    margin: Annotated[
        list[str] | None,
        typer.Option(
            "--margin",
            metavar="[TARGET=]DELTA",
            help="Largest loss that is still kept: of every target, as a share of its range (left "
            "out: 0.05), or of one, in its unit; repeatable.",
        ),
    ] = None,
    higher: Annotated[
        list[str] | None,
        typer.Option(
            "--higher",
            metavar="TARGET",
            help="Of this figure more is better, which the log does not tell; repeatable.",
        ),
    ] = None,
    lower: Annotated[
        list[str] | None,
        typer.Option("--lower", metavar="TARGET", help="Of this one less is better; repeatable."),
    ] = None,
    family: Annotated[
        str | None,
        typer.Option(
            "--family",
            metavar="KEY",
            help="Key of a sample's document or metadata that says which samples belong together.",
        ),
    ] = None,
    by_document: Annotated[
        bool,
        typer.Option(
            "--by-document", help="Pair samples whose documents agree though their prompts do not."
        ),
    ] = False,
    subtasks: Annotated[
        bool, typer.Option("--subtasks", help="Judge the subtasks of a group one by one.")
    ] = False,
    audit_: Annotated[bool, typer.Option("--audit", help="Go on to the statement.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier import.")] = False,
    json_: Json = False,
) -> None:
    """Make an audit of evals that lm-eval or Inspect already ran."""
    from ullage.imports import Options, run_import

    places = {"teacher": teacher, "student": student}
    made = run_import(
        places if base is None else places | {"base": base},
        output,
        options=Options(family=family, by_document=by_document, subtasks=subtasks),
        margins=margin or (),
        higher=higher or (),
        lower=lower or (),
        force=force,
    )
    if audit_:
        audit(made.config, json_=json_)
    elif json_:
        print_json(made.as_json())
    else:
        typer.echo("\n".join(made.lines()))


@app.command()
def schema(name: Annotated[SchemaName, typer.Argument(help="Which schema.")]) -> None:
    """Print the JSON Schema of a kind of file."""
    from ullage.config.schema import config_schema, scenario_schema
    from ullage.statement.policy import policy_schema
    from ullage.statement.store import json_schema

    made = {
        SchemaName.CONFIG: config_schema,
        SchemaName.SCENARIO: scenario_schema,
        SchemaName.STATEMENT: json_schema,
        SchemaName.POLICY: policy_schema,
    }[name]()
    print_json(made)


@app.command()
def selftest(
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer audits: three minutes on two cores, for CI.")
    ] = False,
    probe: Annotated[
        list[str] | None,
        typer.Option("--probe", metavar="NAME", help="Only this probe; repeatable."),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", metavar="FILE", help="Test the probes, items and tasks of your own there."
        ),
    ] = None,
    organism: Annotated[
        list[str] | None,
        typer.Option(
            "--organism",
            metavar="NAME",
            help="Only this distilled student, or none; repeatable. Left out: all of them, in a "
            "full test of the packaged probes.",
        ),
    ] = None,
    audits: Annotated[
        int | None, typer.Option("--audits", min=2, metavar="N", help="Audits of each size.")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option("--jobs", min=1, metavar="N", help="Processes; one a core.")
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option("--markdown", metavar="FILE", help="Write the tables there.")
    ] = None,
    record: Annotated[
        str | None,
        typer.Option(
            "--record",
            metavar="DATE",
            help="Keep the result, as of this day, for statements to quote.",
        ),
    ] = None,
    fresh: Annotated[
        bool,
        typer.Option("--fresh", help="Try again what an earlier test tried with this very code."),
    ] = False,
    json_: Json = False,
) -> None:
    """Show what the auditor can and cannot see."""
    from dataclasses import replace

    from ullage.files import cache_home, write_whole
    from ullage.lab.organisms.registry import ORGANISMS, find_organism
    from ullage.selftest.run import choose, keep, record_path, run_selftest
    from ullage.selftest.show import render, to_markdown
    from ullage.selftest.trials import FULL, QUICK

    settings = QUICK if quick else FULL
    if audits is not None:
        settings = replace(settings, audits=audits)
    sources = choose(probe or (), config)
    chosen = list(organism or ())
    if organism is None and not (quick or probe or config):
        chosen = list(ORGANISMS)
    wanted = [find_organism(name) for name in chosen if name != "none"]
    most = len(sources) + len(wanted)
    with _make_reporter(json_, open_console(), "") as reporter:
        audited = []
        if wanted:
            from ullage.selftest.organisms import audit_organisms

            audited = audit_organisms(
                wanted, on_organism=lambda name, passed: reporter.tried(name, passed, most)
            )
        report = run_selftest(
            sources,
            settings,
            quick=quick,
            jobs=jobs,
            on_probe=lambda name, result: reporter.tried(
                name, None if result is None else result.passed, most
            ),
            organisms=audited,
            kept=cache_home() / "selftest",
            fresh=fresh,
        )
    if record is not None:
        keep(report, record_path(config), record)
    if markdown is not None:
        write_whole(markdown, to_markdown(report).encode())
    if json_:
        print_json(report.model_dump(mode="json") | {"passed": report.passed})
    else:
        render(report, open_console(stderr=False))
    raise typer.Exit(0 if report.passed else 1)


@app.command()
def demo(
    folder: Annotated[
        Path | None,
        typer.Option(
            "--folder", help="Where the demo keeps what it makes.  [default: demo, or demo-real]"
        ),
    ] = None,
    real: Annotated[
        bool, typer.Option("--real", help="With SmolLM2-135M, which is fetched, and one student.")
    ] = False,
    open_: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the statement in a browser at the end.")
    ] = True,
    json_: Json = False,
) -> None:
    """Distil two small students of the laboratory, audit both, and show what one lost."""
    console = open_console()

    def reporter() -> Reporter:
        return _make_reporter(json_, console, "")

    if real:
        from ullage.demo_real import run_real_demo

        statement, path = run_real_demo(folder or Path("demo-real"), reporter(), console)
        _show(statement, path, json_)
    else:
        from ullage.demo import run_demo

        made = run_demo(folder or Path("demo"), reporter, console)
        path = made.scrubbed.folder
        _show_demo(made, json_)
    if open_ and not json_ and sys.stdout.isatty():
        typer.launch(str(path / "statement.html"))


def main() -> None:
    """The entry point: expected failures become one line and an exit code."""
    # Read when torch is loaded. Threads that spin while they wait slow everything down many times
    # over as soon as another process wants a core.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        code = app(standalone_mode=False)
        if code == INTERRUPTED:  # how newer versions of typer report Ctrl-C
            raise KeyboardInterrupt
        sys.exit(code)
    except UllageError as error:
        _fail(str(error), error.exit_code)
    except _UsageError as error:
        command = error.ctx.command_path if error.ctx else "ullage"
        _fail(f"{_plain(error.format_message())} See `{command} --help`.", UllageError.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        _fail("stopped; nothing answered is lost, run the same command again to go on", INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output (head, less) has gone away.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def _plain(message: str) -> str:
    return message.replace("Value error, ", "")


def _fail(message: str, code: int) -> None:
    from ullage.statement.sanitise import terminal

    # Names of files and of what is in them may come from anybody.
    typer.echo(f"ullage: {terminal(message, limit=4000)}", err=True)
    sys.exit(code)


def _load(path: Path, overrides: list[str] | None, profile: ProfileName | None = None) -> Loaded:
    from ullage.config import load
    from ullage.config.profiles import as_overrides

    chosen = as_overrides(profile.value) if profile else ()
    return load(path, (*chosen, *(overrides or ())))


def _reporter(json_: bool, loaded: Loaded) -> Reporter:
    return _make_reporter(json_, open_console(), loaded.config.budget.currency)


def _make_reporter(json_: bool, console: Console, currency: str) -> Reporter:
    from ullage.progress import JsonReporter, TerminalReporter

    return JsonReporter() if json_ else TerminalReporter(console, currency)


def _show(statement: Statement, folder: Path, json_: bool) -> None:
    if json_:
        sys.stdout.write((folder / "statement.json").read_text("utf-8"))
        return
    from ullage.statement.acceptance import read_records
    from ullage.statement.consent import consents
    from ullage.statement.terminal import render

    found = consents(statement, read_records(folder))
    render(statement, open_console(stderr=False), found=found, folder=folder)


def _show_demo(demo: Demo, json_: bool) -> None:
    """Both statements, their difference, and what it means."""
    if json_:
        import json

        print_json(
            {
                "comparison": json.loads(demo.comparison.to_json()),
                "story": demo.story,
                "full": str(demo.full.folder),
                "scrubbed": str(demo.scrubbed.folder),
            }
        )
        return
    from rich.text import Text

    from ullage.statement import compare_terminal, terminal

    console = open_console(stderr=False)
    for audited in (demo.full, demo.scrubbed):
        terminal.render(audited.statement, console)
        console.rule()
    compare_terminal.render(demo.comparison, console)
    console.print()
    console.print(Text(demo.story))
    console.print()
    for audited in (demo.full, demo.scrubbed):
        console.print(Text(str(audited.folder / "statement.html")), soft_wrap=True)


if __name__ == "__main__":
    main()
