"""The commands. Thin: they read arguments, call one function, and turn errors into one line.

Everything heavy is imported inside a command, so that ``ullage --help`` starts at once.
"""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from ullage import __version__
from ullage.audit_cli import audit, plan
from ullage.cache_cli import cache_app
from ullage.cli_common import DEFAULT_CONFIG, ConfigPath, Json, Overrides, load_config, print_json
from ullage.demo_cli import demo
from ullage.distill_cli import coverage, distill
from ullage.errors import UllageError
from ullage.gate_cli import gate
from ullage.help_cli import finish_help
from ullage.items_cli import canaries, compositions, distances, requests
from ullage.lab.cli import lab_app
from ullage.probes_cli import probe, probes
from ullage.selftest.cli import selftest
from ullage.serve.cli import serve
from ullage.statement_cli import statement_app
from ullage.trial.cli import trial_app

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it (128 + SIGINT)."""

_UsageError: Any = next(
    base for base in typer.BadParameter.__mro__ if base.__name__ == "UsageError"
)
"""Typer carries its own copy of click since 0.20; this names the class in either."""

app = typer.Typer(
    context_settings={"help_option_names": ["-h", "--help"]},
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


class SchemaName(StrEnum):
    """Schemas that editors and other tools want."""

    CONFIG = "config"
    SCENARIO = "scenario"
    STATEMENT = "statement"
    POLICY = "policy"


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

    problems = validate_all(load_config(config, override))
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
app.command()(plan)
app.command()(distill)
app.command()(coverage)
app.command()(audit)
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


app.command()(selftest)
app.command()(demo)


finish_help(app)


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


if __name__ == "__main__":
    main()
