"""The command ``dataflow``: loads a subcommand when it is called, and turns every error into one line."""

from __future__ import annotations

import gc
import io
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, NoReturn

import click
from click.shell_completion import CompletionItem

from dataflow.cli.command import refuse_repeated
from dataflow.cli.completing import is_asked
from dataflow.cli.streams import settle_streams
from dataflow.cli.terminal_text import clean, clean_lines, command_width, message_text
from dataflow.cli.usage import asking_less, usage_text
from dataflow.data.write_results import dump
from dataflow.errors import DataflowError, DataflowWarning, PluginError, cut, nearest
from dataflow.limits import allowance
from dataflow.registry import registry
from dataflow.support.text_tables import fit_lines, lines_within

INTERRUPTED = 130
ARGUMENTS = "dataflow.arguments"
"""Where the context has the words of the call after ``dataflow``."""

COMMANDS = {
    "new": "Write a model file to begin with, for a table of your own.",
    "run": "Compute every value, and the gradients if the model has a loss.",
    "train": "Train by gradient descent.",
    "predict": "Predict the outputs for each row of a table.",
    "score": "Measure the loss and metrics over a table.",
    "check": "Check the file, the shapes, and the gradients against finite differences.",
    "jacobian": "Print the matrix of derivatives of a node.",
    "gradients": "Differentiate in other modes: vjp, jvp, hvp, Hessian, per example, higher order.",
    "explain": "Show the chain rule, factor by factor.",
    "draw": "Draw the forward pass, the backward pass, or both.",
    "view": "Make a page to step through the forward and the backward pass.",
    "plot": "Draw the loss over the epochs, or the decision boundary.",
    "convert": "Convert a model to another file format.",
    "diff": "Compare two models: structure, parameters, settings, results.",
    "profile": "Count what a step costs, then time each op.",
    "ops": "List the registered ops, or show all about one.",
    "plugins": "List the installed plugins: what each brings, what failed and why.",
    "new-plugin": "Write a plugin package to begin with: an op, an optimizer, tests.",
    "completion": "Print what lets a shell complete commands, options and names.",
}
"""dataflow's own commands. ``NAME`` is ``command`` in the module ``dataflow.cli.commands.NAME``, imported when it is
called for."""


@dataclass
class Session:
    """The state of one call of a command: what it prints, tracebacks or not, and the warnings not printed yet."""

    debug: bool = False
    quiet: bool = False
    as_json: bool = False
    warnings: list[str] = field(default_factory=list)
    live: bool = False
    """Whether warnings are told as they come, as in a long run, instead of when the command ends."""

    @property
    def shows_progress(self) -> bool:
        """Whether somebody looks at a bar on standard error."""
        return not self.quiet and sys.stderr.isatty()

    def warn(self, *texts: str) -> None:
        """Keep warnings until ``flush`` is called, at the latest when the command ends."""
        self.warnings += [clean(text) for text in texts if clean(text) not in self.warnings]
        if self.live:
            self.flush()

    def take(self) -> list[str]:
        """Return the warnings so far, for a JSON document, and do not print them."""
        taken, self.warnings = self.warnings, []
        return taken

    def flush(self) -> None:
        """Print the warnings so far."""
        for text in self.take():
            if not self.quiet:
                click.echo(message_text(f"Warning: {text}"), err=True)

    def note(self, text: str) -> None:
        """Tell how to read what was printed."""
        if not self.quiet:
            click.echo(message_text(f"Note: {clean(text)}."), err=True)

    def say(self, text: str) -> None:
        """Print on standard output, unless the user wants quiet, or a document and nothing else."""
        if not self.quiet and not self.as_json:
            click.echo(fit_lines(clean_lines(text)))

    def print_json(self, document: Any) -> None:
        """Print the one document of ``--json`` on standard output."""
        click.echo(dump(document))

    def end(self, message: str, status: int = 1) -> NoReturn:
        """Print an error, and end the command with this exit status."""
        self.fail(message)
        raise click.exceptions.Exit(status)

    def fail(self, message: str, error: BaseException | None = None) -> None:
        """Print an error on one line, after its traceback if the user asked for it."""
        if self.debug and error is not None:
            click.echo(clean_lines("".join(traceback.format_exception(error))), err=True, nl=False)
        click.echo(message_text(f"Error: {clean(message)}"), err=True)


class LazyGroup(click.Group):
    """The group of all commands: dataflow's own, and those of plugins."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*COMMANDS, *sorted(_plugin_commands())]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in COMMANDS:
            command: click.Command = import_module(f"dataflow.cli.commands.{cmd_name.replace('-', '_')}").command
            return command
        return _plugin_commands().get(cmd_name)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchOption:
            raise
        except click.UsageError:
            hint = nearest(args[0], self.list_commands(ctx))
            raise click.UsageError(f"unknown command '{args[0]}'{hint}", ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        plugins = _plugin_commands()
        rows = list(COMMANDS.items())
        rows += [(clean(name), clean(plugins[name].get_short_help_str(formatter.width))) for name in sorted(plugins)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def main(self, *args: Any, **extra: Any) -> Any:
        gc.freeze()  # what is imported stays: the collector need not look through it again
        with settle_streams(), _unheard() if is_asked() else nullcontext():
            return super().main(*args, **extra)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        helps = COMMANDS | {name: plugin.get_short_help_str() for name, plugin in _plugin_commands().items()}
        found = [CompletionItem(name, help=text) for name, text in helps.items() if name.startswith(incomplete)]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.obj = Session(debug="--debug" in args, quiet="--quiet" in args)
        ctx.meta[ARGUMENTS] = list(args)
        with _guarded(ctx):
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="replace")
        with _guarded(ctx):
            with _limited(ctx), lines_within(command_width()):
                result = super().invoke(ctx)
            sys.stdout.flush()  # an error of writing is told here, not when Python ends
            return result


def _limited(ctx: click.Context) -> AbstractContextManager[None]:
    """Limit the work of a command, so that it ends in time for every file. Training is not limited, nor is
    ``ops``, which reads no file and whose checks try numbers that are too large."""
    name = next((word for word in ctx.meta[ARGUMENTS] if not word.startswith("-")), "")
    if name not in COMMANDS or name in ("train", "ops"):
        return nullcontext()
    command = ctx.command.get_command(ctx, name) if isinstance(ctx.command, click.Group) else None
    return allowance(name, less=asking_less(command))


@contextmanager
def _guarded(ctx: click.Context) -> Iterator[None]:
    """Turn every error into one line and an exit status, and every warning into one line."""
    session: Session = ctx.obj
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", DataflowWarning)
            warnings.showwarning = _shower(session, warnings.showwarning)
            try:
                yield
            finally:
                session.flush()
    except click.ClickException as error:
        if isinstance(error, click.exceptions.NoArgsIsHelpError):
            raise
        session.fail(usage_text(error, lambda: _all_commands(ctx)), error)
        ctx.exit(error.exit_code)
    except (click.exceptions.Exit, BrokenPipeError):
        raise
    except DataflowError as error:
        session.fail(str(error), error)
        ctx.exit(1)
    except (KeyboardInterrupt, click.Abort) as error:
        session.fail("interrupted; nothing was saved", error)
        ctx.exit(INTERRUPTED)
    except MemoryError as error:
        session.fail("there is not enough memory for this; give less data, or use float32", error)
        ctx.exit(1)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        session.fail(f"{place}{error.strerror or error}", error)
        ctx.exit(1)
    except Exception as error:  # noqa: BLE001 (the last resort: no traceback unless it is asked for)
        session.fail(_unexpected(error, session.debug), error)
        ctx.exit(1)


def _shower(session: Session, otherwise: Callable[..., Any]) -> Callable[..., None]:
    def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        if issubclass(category, DataflowWarning):
            session.warn(str(message))
        elif session.debug:
            otherwise(message, category, *place, **more)

    return show


def _unexpected(error: Exception, debug: bool) -> str:
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    hint = "the traceback above says where" if debug else "run it again with --debug and report what it prints"
    return f"something went wrong inside dataflow or a plugin ({cut(what, 303)}); {hint}"


def _all_commands(ctx: click.Context) -> Iterator[click.Command]:
    group = ctx.find_root().command
    if isinstance(group, click.Group):
        yield from filter(None, (group.get_command(ctx, name) for name in group.list_commands(ctx)))


def _plugin_commands() -> dict[str, click.Command]:
    commands = registry.registry().commands
    for name in commands:
        if name in COMMANDS:
            owner = registry.registry().owners["command", name]
            raise PluginError(f"the command '{name}' is registered twice: by dataflow and by {owner}; uninstall one")
    for command in commands.values():
        refuse_repeated(command)
    return commands


@contextmanager
def _unheard() -> Iterator[None]:
    """Whatever goes wrong, nothing is told in the midst of a command line that is being written."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except Exception:  # noqa: BLE001 (there is nothing to complete)
            sys.exit(1)


def _show_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if not value or ctx.resilient_parsing:
        return
    from dataflow.cli.versions import version_document, version_text

    document = version_document()
    ctx.obj.take()  # what is broken is said
    click.echo(dump(document) if "--json" in ctx.meta[ARGUMENTS] else version_text(document))
    ctx.exit()


def _refuse_json(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value and "--version" not in ctx.meta[ARGUMENTS] and not ctx.resilient_parsing:
        raise click.UsageError("--json stands after the command: dataflow COMMAND --json", ctx)


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="\b\nExample:\n  dataflow run models/xor.toml\n  dataflow train models/digits.toml -o digits.msgpack\n\n"
    "Exit status: 0 done, 1 the input was wrong, 2 wrong usage. 'dataflow COMMAND -h' shows examples of each command.",
)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_show_version,
    help="The version, and that of each plugin; with --json as a document.",
)
@click.option("--json", is_flag=True, expose_value=False, hidden=True, callback=_refuse_json)
def main() -> None:
    """Run, differentiate and train models that are declared in files."""
