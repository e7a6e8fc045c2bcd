"""Bad model files: each fault is one line with the file, the line, the column, what is wrong and what to do."""

from __future__ import annotations

import os

import pytest
from bad_input import BLOCK, ROWS, X

from dataflow.errors import (
    DataError,
    DataflowError,
    FileFormatError,
    GraphError,
    ShapeError,
)
from dataflow.files.toml.read import load_toml, loads_toml


@pytest.mark.parametrize(("text", "error", "line", "column", "part"), ROWS, ids=[str(i) for i in range(len(ROWS))])
def test_fault(text: str, error: type[DataflowError], line: int, column: int | None, part: str) -> None:
    with pytest.raises(DataflowError) as caught:
        loads_toml(text, "net.toml")
    found = caught.value
    assert part in str(found)
    assert (type(found), found.file, found.line, found.column) == (error, "net.toml", line, column), str(found)
    assert str(found).startswith(f"net.toml:{line}:" + (f"{column}: " if column else " "))
    assert "\n" not in str(found)
    assert len(str(found)) < 400


def test_there_are_rows() -> None:
    assert len(ROWS) > 150


def test_shapes_that_do_not_fit_name_everything() -> None:
    text = X + "[parameters]\nW = { value = [[1, 2], [3, 4], [5, 6]] }\n[nodes]\nz = 'relu(x @ W)'\n"
    with pytest.raises(ShapeError) as caught:
        loads_toml(text, "net.toml")
    message = str(caught.value)
    assert message.startswith("net.toml:7:13: node 'z': matmul(x, W): ")
    assert "(n, 2)" in message
    assert "(3, 2)" in message
    assert message.endswith('in "relu(x @ W)"')


def test_shapes_that_do_not_fit_in_a_block_name_the_call() -> None:
    with pytest.raises(ShapeError) as caught:
        loads_toml(BLOCK + "h = 'tanh(layer(layer(x)))'\n", "net.toml")
    message = str(caught.value)
    assert message.startswith("net.toml:7:19: node 'h.layer_2.z': matmul(")
    assert message.endswith("in \"relu(a @ W.T)\", for the call 'h.layer_2' of block 'layer'")


def test_blocks_that_multiply_are_refused_before_they_fill_the_memory() -> None:
    text = "dataflow = 1\ninputs.x = {}\nnodes.y = 'b0(x)'\n"
    for i in range(30):
        body = f"b{i + 1}(x) + b{i + 1}(x)" if i < 29 else "x + 1"
        text += f"[blocks.b{i}]\ninputs = ['x']\noutput = 'y'\nnodes.y = '{body}'\n"
    with pytest.raises(GraphError, match=r"^net.toml:7:12: with all calls of blocks there are 1610612735 nodes"):
        loads_toml(text, "net.toml")


def test_blocks_are_nested_at_most_32_deep() -> None:
    def nested(depth: int) -> str:
        text = "dataflow = 1\ninputs.x = {}\nnodes.y = 'b0(x)'\n"
        for i in range(depth):
            body = f"b{i + 1}(x)" if i < depth - 1 else "x + 1"
            text += f"[blocks.b{i}]\ninputs = ['x']\noutput = 'y'\nnodes.y = '{body}'\n"
        return text

    assert loads_toml(nested(32)).run(x=1)["y"] == 2
    with pytest.raises(GraphError, match="more than 32 deep"):
        loads_toml(nested(33))


def test_a_cycle_of_many_nodes_is_found_without_recursion() -> None:
    nodes = "\n".join(f"h{i} = 'h{(i + 1) % 5000} + 1'" for i in range(5000))
    with pytest.raises(GraphError, match="h0 -> h4999 -> h4998"):
        loads_toml(f"dataflow = 1\n[nodes]\n{nodes}\n")


def test_a_missing_file(tmp_path) -> None:
    (tmp_path / "xor.toml").write_text("dataflow = 1\n")
    with pytest.raises(FileFormatError, match=r"xro.toml: there is no such file; did you mean '.*xor.toml'\?"):
        load_toml(tmp_path / "xro.toml")


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_a_data_file_behind_a_link_out_of_the_folder(tmp_path) -> None:
    (tmp_path / "secret.csv").write_text("x0,x1\n1,2\n")
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "data.csv").symlink_to(tmp_path / "secret.csv")
    (folder / "up").symlink_to(tmp_path)
    for name in ("data.csv", "up/secret.csv"):
        path = folder / "net.toml"
        path.write_text(X + f"[data]\nfile = '{name}'\n")
        with pytest.raises(DataError) as caught:
            load_toml(path)
        assert str(caught.value).startswith(f"{path}:5:9: the data file '{name}' lies outside the folder")


def test_a_data_file_that_is_not_there_is_missed_when_it_is_needed(tmp_path) -> None:
    path = tmp_path / "net.toml"
    path.write_text(X + "[data]\nfile = 'later.csv'\n")
    model = load_toml(path)
    with pytest.raises(DataError, match=r"later.csv: there is no such file"):
        model.run()
