"""Plugins: found by entry point, checked when they are taken in, and named in every error."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from importlib.metadata import Distribution, EntryPoint, EntryPoints

import click
import pytest

import dataflow
from dataflow import Op, hookimpl, op
from dataflow.errors import (
    BackendError,
    DataflowWarning,
    FileFormatError,
    OpError,
    PluginError,
    nearest,
)
from dataflow.registry import registry
from dataflow.registry.registry import ClashError, Registry


class Mine(Distribution):
    """A distribution that is installed nowhere."""

    def read_text(self, filename: str) -> str | None:
        return "Metadata-Version: 2.1\nName: mine-of-mine\nVersion: 1.2.3\n" if filename == "METADATA" else None

    def locate_file(self, path):
        raise AssertionError("nothing is read from a distribution but its metadata")


class Point(EntryPoint):
    """An entry point that loads what a test says."""

    def load(self):
        found = LOADED[self.value]
        if isinstance(found, BaseException):
            raise found
        return found


LOADED: dict[str, object] = {}


def make(name: str) -> Op:
    @op(name=name)
    def made(x):
        """x."""
        return 1 * x

    return made


def plugin(**hooks: object) -> object:
    """A plugin whose hooks give these things."""
    functions = {name: staticmethod(hookimpl(lambda items=items: items)) for name, items in hooks.items()}
    return type("Plugin", (), functions)()


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch):
    def loaded(**modules: object) -> Registry:
        LOADED.clear()
        LOADED.update(modules)
        points = [Point(name=name, value=name, group="dataflow")._for(Mine()) for name in modules]
        monkeypatch.setattr(registry, "entry_points", lambda: EntryPoints(points))
        monkeypatch.setattr(registry, "_builtin", [])
        found = Registry()
        registry.load_plugins(found)
        return found

    return loaded


def test_everything_that_a_plugin_offers_is_taken_in(load) -> None:
    command = click.Command("greet")
    found = load(
        mine=plugin(
            register_ops=[make("one"), make("two")],
            register_initializers=[registry.initializer("zeros")],
            register_optimizers=[registry.optimizer("sgd")],
            register_backends=[registry.backend("numpy")],
            register_file_formats=[registry.file_format(".toml")],
            register_commands=[command],
        )
    )
    assert set(found.ops) == {"one", "two"}
    assert set(found.initializers) == {"zeros"}
    assert set(found.optimizers) == {"sgd"}
    assert set(found.backends) == {"numpy"}
    assert ".toml" in found.file_formats
    assert found.commands == {"greet": command}
    assert str(found.owners["op", "one"]) == "plugin 'mine' (mine-of-mine 1.2.3)"


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (ImportError("No module named 'nowhere'"), "ImportError: No module named 'nowhere'"),
        (SyntaxError("invalid syntax"), "SyntaxError: invalid syntax"),
        (SystemExit(3), "SystemExit: 3"),
        (PluginError("op 'f' has no docstring"), "op 'f' has no docstring"),
        (plugin(register_opps=[]), "register_opps"),
        (plugin(register_ops=[print]), "hook register_ops gave <built-in function print>, which is no op"),
        (plugin(register_ops=[make("two"), make("two"), 3]), "hook register_ops gave 3, which is no op"),
        (plugin(register_ops=3), "hook register_ops gave 3; it gives a list"),
        (plugin(register_initializers=[make("two")]), "register_initializers gave <op two>, which is no initializer"),
    ],
)
def test_a_broken_plugin_warns_with_its_name_and_its_distributions_and_the_rest_are_there(load, broken, reason) -> None:
    with pytest.warns(DataflowWarning) as caught:
        found = load(broken=broken, fine=plugin(register_ops=[make("one")]))
    assert set(found.ops) == {"one"}
    (text,) = [str(warning.message) for warning in caught]
    assert text.startswith("plugin 'broken' (mine-of-mine 1.2.3) is broken and was left out: ")
    assert reason in text
    assert "\n" not in text


def test_of_a_broken_plugin_nothing_is_taken_in(load) -> None:
    with pytest.warns(DataflowWarning):
        found = load(broken=plugin(register_ops=[make("one")], register_optimizers=[3]))
    assert not found.ops
    assert not found.owners


@pytest.mark.parametrize(
    ("hook", "kind", "items"),
    [
        ("register_ops", "op 'one'", lambda: [make("one")]),
        ("register_initializers", "initializer 'zeros'", lambda: [registry.initializer("zeros")]),
        ("register_optimizers", "optimizer 'sgd'", lambda: [registry.optimizer("sgd")]),
        ("register_backends", "backend 'numpy'", lambda: [registry.backend("numpy")]),
        ("register_commands", "command 'greet'", lambda: [click.Command("greet")]),
    ],
)
def test_two_claims_on_one_name_are_an_error_that_names_both(load, hook, kind, items) -> None:
    first = "plugin 'first' (mine-of-mine 1.2.3)"
    with pytest.raises(ClashError, match="registered twice") as caught:
        load(first=plugin(**{hook: items()}), second=plugin(**{hook: items()}))
    text = str(caught.value)
    assert (
        text == f"the {kind} is registered twice: by {first} and by {first.replace('first', 'second')}; uninstall one"
    )
    assert isinstance(caught.value, PluginError)


def test_one_plugin_with_one_name_twice(load) -> None:
    with pytest.raises(ClashError, match="by plugin 'mine' .* and by plugin 'mine'"):
        load(mine=plugin(register_ops=[make("one"), make("one")]))


def renamed(item: object, *names: str) -> object:
    """A copy of a registered item that says what it was called before."""
    if isinstance(item, type):
        return type(item.__name__, (item,), {"former_names": names})
    item = copy.copy(item)
    item.former_names = names
    return item


@pytest.mark.parametrize(
    ("hook", "kind", "item"),
    [
        ("register_ops", "op", make("new")),
        ("register_optimizers", "optimizer", registry.optimizer("sgd")),
        ("register_backends", "backend", registry.backend("numpy")),
    ],
)
def test_a_former_name_finds_what_is_called_otherwise_now_and_warns(load, recwarn, hook, kind, item) -> None:
    found = load(mine=plugin(**{hook: [renamed(item, "old", "older")]}))
    table = getattr(found, f"{kind}s")
    assert list(table) == [item.name]
    assert not recwarn.list
    for former in ("old", "older"):
        with pytest.warns(DataflowWarning) as caught:
            assert found.find(kind, table, former) is table[item.name]
        assert [str(one.message) for one in caught] == [
            f"the {kind} '{former}' is called '{item.name}' now: write {item.name}"
        ]
    with pytest.raises(PluginError, match=f"unknown {kind} 'oldest'"):
        found.find(kind, table, "oldest")


def test_a_name_of_today_comes_before_a_former_one(load) -> None:
    found = load(mine=plugin(register_ops=[renamed(make("new"), "old"), make("old")]))
    assert found.find("op", found.ops, "old") is found.ops["old"]


def test_one_former_name_of_two_is_an_error(load) -> None:
    with pytest.raises(ClashError, match="'old' is a former name of two ops: one and two; uninstall one"):
        load(
            first=plugin(register_ops=[renamed(make("one"), "old")]),
            second=plugin(register_ops=[renamed(make("two"), "old")]),
        )


def test_plugins_load_in_the_order_of_their_names_whatever_the_installer_wrote(load) -> None:
    found = load(zeta=plugin(register_ops=[make("z")]), alpha=plugin(register_ops=[make("a")]))
    assert list(found.ops) == ["a", "z"]


def test_a_clash_is_no_state_of_half_loaded_plugins(load, monkeypatch) -> None:
    monkeypatch.setattr(registry, "_current", [])
    with pytest.raises(ClashError):
        load(first=plugin(register_ops=[make("one")]), second=plugin(register_ops=[make("one")]))
    for _ in range(2):
        with pytest.raises(ClashError):
            registry.lookup("one")


@pytest.mark.parametrize(
    ("find", "error", "text"),
    [
        (lambda: registry.lookup("matmull"), OpError, "unknown op 'matmull'; did you mean 'matmul'?"),
        (lambda: registry.lookup("os.system"), OpError, "unknown op 'os.system'"),
        (lambda: registry.initializer("he_norml"), PluginError, "did you mean 'he_normal'"),
        (lambda: registry.optimizer("adm"), PluginError, "did you mean 'adam'"),
        (lambda: registry.backend("cuda"), BackendError, "unknown backend 'cuda'"),
        (lambda: registry.file_format(".pkl"), FileFormatError, "'.pkl' are of no known format; available: .msgpack"),
    ],
)
def test_an_unknown_name_says_what_there_is(find, error, text) -> None:
    with pytest.raises(error) as caught:
        find()
    assert text in str(caught.value)


def test_ops_are_attributes_of_a_module() -> None:
    from dataflow import ops

    assert ops.relu is registry.lookup("relu")
    assert set(registry.all_ops()) <= set(dir(ops))
    with pytest.raises(AttributeError, match="did you mean 'matmul'"):
        _ = ops.matmull
    with pytest.raises(ImportError):
        from dataflow.ops import matmull  # noqa: F401


def test_the_nearest_names() -> None:
    assert nearest("rellu", ["relu", "tanh"]) == "; did you mean 'relu'?"
    assert nearest("q", ["b", "a"]) == "; available: 'b', 'a'"
    assert nearest("q", {"b", "a"}) == "; available: 'a', 'b'"
    assert nearest("q", []) == ""
    many = [f"layer{i}.multiply" for i in range(100_000)]
    assert "did you mean" in nearest("layer5.multipyl", many)
    assert nearest("zz", [f"n{i:02}" for i in range(20)]).endswith("'n11' and 8 more")


def test_every_registered_thing_is_documented() -> None:
    found = registry.registry()
    assert all(item.doc for item in found.ops.values())
    assert all(item.doc for item in found.initializers.values())
    assert all(item.__doc__ for item in found.optimizers.values())
    assert all(backend.promises for backend in found.backends.values())


def test_every_hook_is_documented() -> None:
    hooks = [value for name, value in vars(dataflow.registry.hookspecs).items() if name.startswith("register_")]
    assert len(hooks) == 10
    assert all(hook.__doc__ for hook in hooks)


@pytest.mark.parametrize(
    "line",
    [
        'nodes.y = "{0}(x)"',
        'nodes.y = { op = "{0}", inputs = ["x"] }',
        'nodes.y = { op = "{0}.op", inputs = ["x"] }',
        'nodes.y = { op = "{0}:op", inputs = ["x"] }',
        'parameters.W = { shape = [2], init = "{0}" }',
        'train.optimizer = { name = "{0}" }',
        'data.file = "{0}.py"',
        'plugins = ["{0}"]',
        'imports = ["{0}"]',
    ],
)
def test_a_file_never_makes_anything_load(tmp_path, monkeypatch, line) -> None:
    name = "dataflow_stranger"
    (tmp_path / f"{name}.py").write_text("raise SystemExit('it was imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.toml").write_text(
        f'{line.replace("{0}", name)}\ndataflow = 1\ninputs.x = {{ shape = [2] }}\nnodes.loss = "sum(x)"\n'
        'parameters.b = { shape = [2], init = "zeros" }\nmodel.loss = "loss"\n'
    )
    with pytest.raises(dataflow.DataflowError):
        dataflow.train(dataflow.load("model.toml"), epochs=1)
    assert name not in sys.modules


class Unspeakable(BaseException):
    """What no handler of ``Exception`` sees, and no message either."""

    def __str__(self) -> str:
        raise SystemExit(4)


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (Unspeakable(), "Unspeakable: without a message"),
        (BaseException("base"), "BaseException: base"),
        (GeneratorExit(), "GeneratorExit: without a message"),
        (RecursionError("deep\ndown"), "RecursionError: deep down"),
        (plugin(register_ops=[type("Mute", (), {"__repr__": lambda self: 1 / 0})()]), "ZeroDivisionError"),
        (plugin(register_optimizers=[int]), "optimizer int has no name"),
    ],
)
def test_nothing_that_a_plugin_raises_stops_the_rest(load, broken, reason) -> None:
    with pytest.warns(DataflowWarning) as caught:
        found = load(broken=broken, fine=plugin(register_ops=[make("one")]))
    assert set(found.ops) == {"one"}
    (text,) = [str(warning.message) for warning in caught]
    assert text.startswith("plugin 'broken' (mine-of-mine 1.2.3) is broken and was left out: ")
    assert reason in text
    assert [str(owner) for owner in found.broken] == ["plugin 'broken' (mine-of-mine 1.2.3)"]


def test_the_user_can_interrupt_a_plugin(load) -> None:
    with pytest.raises(KeyboardInterrupt):
        load(slow=KeyboardInterrupt(), fine=plugin(register_ops=[make("one")]))


def module(name: str, **members: object) -> object:
    """A module with these members; its own functions are those whose module is its name."""
    made = type(sys)(name)
    vars(made).update(members)
    return made


def function(name: str, of: str = "mine", gives: object = ()) -> object:
    def made():
        return gives

    made.__name__, made.__module__ = name, of
    return made


@pytest.mark.parametrize(
    ("loaded", "advice"),
    [
        (module("mine"), "registers nothing: it has no hook; write one, such as register_ops, with @dataflow.hookimpl"),
        (plugin(register_ops=[]), "registers nothing: register_ops gives no entry"),
        (plugin(register_ops=[], register_backends=[]), "register_ops and register_backends give no entry"),
        (function("register_ops"), 'its entry point names a function; name the module: odd = "odd"'),
        (hookimpl(function("register_ops")), 'its entry point names a function; name the module: odd = "odd"'),
        (
            module("mine", register_ops=function("register_ops")),
            "has a function register_ops that is not called: give it @dataflow.hookimpl",
        ),
        (
            module("mine", register_opps=function("register_opps")),
            "has a function register_opps that is not called: give it @dataflow.hookimpl and the name register_ops",
        ),
        (
            module(
                "mine",
                register_ops=hookimpl(function("register_ops", gives=[make("two")])),
                register_optimizers=function("register_optimizers"),
            ),
            "has a function register_optimizers that is not called: give it @dataflow.hookimpl",
        ),
    ],
)
def test_what_authors_overlook_is_told_with_what_to_do(load, loaded, advice) -> None:
    with pytest.warns(DataflowWarning) as caught:
        found = load(odd=loaded, fine=plugin(register_ops=[make("one")]))
    (text,) = [str(warning.message) for warning in caught]
    assert text.startswith("plugin 'odd' (mine-of-mine 1.2.3) ")
    assert advice in text
    assert "one" in found.ops
    assert [text for owner, text in found.notes if str(owner) in text or owner] == [
        text.removeprefix("plugin 'odd' (mine-of-mine 1.2.3) ")
    ]


def test_helpers_and_what_is_imported_are_no_oversight(load, recwarn) -> None:
    load(
        fine=module(
            "mine",
            register_ops=hookimpl(function("register_ops", gives=[make("one")])),
            register_everything=function("register_everything"),
            register_backends=function("register_backends", of="elsewhere"),
        )
    )
    assert not recwarn.list


INSTALLED = "import sys; from dataflow.cli import main; main(sys.argv[1:])"


@pytest.fixture
def installed(tmp_path):
    """Run the command line beside distributions that are nothing but modules and metadata in a folder."""

    def run(entry_points: dict[str, str], *arguments: str, requires: str = "", **modules: str):
        for name, text in entry_points.items():
            info = tmp_path / f"{name}-1.0.dist-info"
            info.mkdir()
            (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{requires}")
            (info / "entry_points.txt").write_text(text)
        for name, text in modules.items():
            (tmp_path / f"{name}.py").write_text(text)
        return subprocess.run(
            [sys.executable, "-c", INSTALLED, *arguments],
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


NEEDS_OURS = "Requires-Dist: dataflow-autodiff\n"


def test_broken_distributions_are_listed_and_stop_nothing(installed) -> None:
    done = installed(
        {
            "malformed": "[dataflow]\nmalformed = not a module!\nempty =\n",
            "raising": "[dataflow]\nraising = h_raising\n",
            "misspelt": "[data-flow]\nmisspelt = h_misspelt\n",
            "working": "[dataflow]\nworking = h_working\n",
        },
        "plugins",
        "--json",
        requires=NEEDS_OURS,
        h_raising="class Stop(BaseException):\n    def __str__(self): raise ValueError\nraise Stop\n",
        h_working="import sys, dataflow\nfrom dataflow import op, hookimpl\n"
        "@op\ndef h_op(x):\n    'x.'\n    return 1 * x\n"
        "@hookimpl\ndef register_ops(): return dataflow.ops_in(sys.modules[__name__])\n",
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    document = json.loads(done.stdout)
    by_name = {plugin["name"]: plugin for plugin in document["plugins"]}
    assert by_name["working"]["registered"] == {"op": ["h_op"]}
    assert by_name["working"]["distribution"] == "working"
    assert "relu" in by_name["nn"]["registered"]["op"]
    assert by_name["raising"]["error"] == "Stop: without a message"
    assert "'not a module!'; it names a module" in by_name["malformed"]["error"]
    assert "it names a module" in by_name["empty"]["error"]
    (warning,) = document["warnings"]
    assert warning.startswith(
        "the entry point 'misspelt' of misspelt stands in the group 'data-flow' and is not loaded"
    )
    assert "plugins stand in [project.entry-points.dataflow]" in warning


def test_a_group_of_somebody_else_is_no_misspelling(installed) -> None:
    done = installed({"other": "[dataflows]\nother = other\n[dataflow.runners]\nother = other\n"}, "plugins", "--json")
    assert json.loads(done.stdout)["warnings"] == []


def test_a_malformed_entry_point_stops_no_command(installed) -> None:
    done = installed({"malformed": "[dataflow]\nmalformed = not a module!\n"}, "ops", "relu", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["name"] == "relu"
    (warning,) = done.stderr.splitlines()
    assert warning.startswith("Warning: plugin 'malformed' (malformed 1.0) is broken and was left out: its entry point")


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (("mean", "mean"), "'mean' in state_names stands twice"),
        (("accumulated",), "'accumulated' in state_names is the name of vectors that every run has"),
        (("parameters",), "'parameters' in state_names is the name of vectors that every run has"),
        ("mean", "state_names is a tuple of names, not 'mean'"),
        (("a b",), "state_names is a tuple of names"),
        ((3,), "state_names is a tuple of names"),
    ],
)
def test_an_optimizers_state_has_names_of_its_own(names, reason) -> None:
    with pytest.raises(PluginError, match=reason):
        type("Twice", (dataflow.Optimizer,), {"name": "twice", "state_names": names})
