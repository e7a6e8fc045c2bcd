"""An option given twice adds up, or is refused: every option of every command."""

from __future__ import annotations

import click
import pytest
from checkout import MODELS
from click.testing import CliRunner

from dataflow.cli.command import Command, takes_one_value
from dataflow.cli.group import COMMANDS, main
from dataflow.registry import registry
from dataflow.registry.registry import Registry

XOR = str(MODELS / "xor.toml")


def command_of(name: str) -> click.Command:
    command = main.get_command(click.Context(main), name)
    assert command is not None
    return command


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option(name: str) -> None:
    """Whatever its value: what is given twice is told before values are looked at."""
    command = command_of(name)
    assert isinstance(command, Command)
    for option in command.params:
        if not isinstance(option, click.Option):
            continue
        if option.multiple:
            assert "; can be repeated." in str(option.help)
        for word in (*option.opts, *option.secondary_opts):
            twice = [word, word] if option.is_flag else [word, "1", word, "2"]
            done = CliRunner().invoke(main, [name, *twice])
            assert done.exit_code in (0, 1, 2)
            assert ("is given twice, and takes one value" in done.stderr) == takes_one_value(option), (
                word,
                done.stderr,
            )


@pytest.fixture
def plugin_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain click commands, as plugins register them: one, and a group of one."""

    def greet(names: tuple[str, ...], often: int) -> None:
        click.echo(" ".join(names * often))

    options = [click.Option(["--name", "names"], multiple=True, help="Whom."), click.Option(["--often"], type=int)]
    group = click.Group("polite", commands=[click.Command("greet", params=options, callback=greet)])
    known = {"greet": click.Command("greet", params=options, callback=greet), "polite": group}
    monkeypatch.setattr(registry, "registry", lambda: Registry(commands=known))


@pytest.mark.usefixtures("plugin_commands")
@pytest.mark.parametrize("words", [["greet"], ["polite", "greet"]], ids=["a command", "in a group"])
def test_commands_of_plugins(words: list[str]) -> None:
    values_add_up = [*words, "--name", "Ann", "--name", "Bo", "--often", "2"]
    for _ in range(2):  # what is called again is what it was
        done = CliRunner().invoke(main, values_add_up)
        assert (done.exit_code, done.stdout) == (0, "Ann Bo Ann Bo\n"), done.stderr
        done = CliRunner().invoke(main, [*values_add_up, "--often=3"])
        assert done.exit_code == 2
        assert "--often is given twice, and takes one value; give it once" in done.stderr
    assert CliRunner().invoke(main, [*words, "--help"]).stdout.count("Whom; can be repeated.") == 1


def test_options_that_take_one_value_are_found() -> None:
    options = {option.name: option for option in command_of("train").params}
    assert takes_one_value(options["epochs"])
    assert takes_one_value(options["shuffle"])  # --shuffle --no-shuffle
    assert not takes_one_value(options["as_json"])
    assert not takes_one_value(options["settings"])
    assert not takes_one_value(options["model_file"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "--backend", "numpy", "--backend", "llvm"], "--backend is given twice"),
        (["train", "--epochs", "3", "--epochs=4"], "--epochs is given twice"),
        (["train", "-o", "a.toml", "--output", "b.toml", "-o", "c.toml"], "--output is given 3 times"),
        (["train", "--shuffle", "--no-shuffle"], "--shuffle/--no-shuffle is given twice"),
        (["train", "--clip.norm=1", "--clip.norm", "2"], "norm is given twice"),
        (["train", "--optimizer", "sgd", "--optimizer", "adam"], "two values"),
        (["run", "--set", "x=[[0, 1]]", "--set", "x=[[1, 1]]"], "'x' is given twice"),
        (["gradients", "--tangent", "loss=1", "--tangent", "loss=2"], "'loss' is given twice"),
    ],
)
def test_the_second_is_refused(words: list[str], message: str) -> None:
    done = CliRunner().invoke(main, [words[0], XOR, *words[1:]])
    assert done.exit_code == 2
    assert message in done.stderr
    assert done.stdout == ""


def test_values_add_up() -> None:
    once = CliRunner().invoke(main, ["run", XOR, "--wrt", "W1,b1"])
    assert once.exit_code == 0
    assert CliRunner().invoke(main, ["run", XOR, "--wrt", "W1", "--wrt", "b1"]).stdout == once.stdout
    assert CliRunner().invoke(main, ["run", XOR, "--wrt", "W1,b1", "--json", "--json"]).exit_code == 0


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["RUN", XOR], "'run'"),
        (["run", XOR, "--WRT", "W1"], "'--wrt'"),
        (["run", XOR, "--wrt", "w1"], "'W1'"),
        (["ops", "ReLU"], "'relu'"),
        (["train", XOR, "--optimizer", "Adam"], "'adam'"),
        (["run", XOR, "--backend", "NumPy"], "'numpy'"),
        (["explain", XOR, "--wrt", "LOSS"], "'loss'"),
    ],
)
def test_the_nearest_name_whatever_its_case(words: list[str], meant: str) -> None:
    done = CliRunner().invoke(main, words)
    assert done.exit_code in (1, 2)
    assert meant.strip("'") in done.stderr  # older versions of click leave the quotes out
