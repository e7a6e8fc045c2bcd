"""Plugins: found by entry point, checked when they are taken in, and named in every error."""

from __future__ import annotations

import sys
from importlib.metadata import Distribution, EntryPoint

import click
import pytest

import dataflow
from dataflow import Op, hookimpl, op, registry
from dataflow.errors import (
    BackendError,
    DataflowWarning,
    FileFormatError,
    OpError,
    PluginError,
    nearest,
)
from dataflow.registry import ClashError, Registry


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
        monkeypatch.setattr(registry, "entry_points", lambda group: points)
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
        (plugin(register_ops=[print]), "hook register_ops gave <built-in function print>, which is none"),
        (plugin(register_ops=[make("two"), make("two"), 3]), "hook register_ops gave 3, which is none"),
        (plugin(register_ops=3), "'int' object is not iterable"),
        (plugin(register_initializers=[make("two")]), "register_initializers gave <op two>, which is none"),
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
        (lambda: registry.file_format(".pkl"), FileFormatError, "'.pkl' are of no known format; there is .msgpack"),
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
    assert nearest("q", ["b", "a"]) == "; there is 'a', 'b'"
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
    hooks = [value for name, value in vars(dataflow.hookspecs).items() if name.startswith("register_")]
    assert len(hooks) == 6
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
