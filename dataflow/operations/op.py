"""What an op is: a function, its derivative, its shape rule, its attributes, its documentation and its samples.

An op is *primitive* (its body is the numpy kernel, and it brings a shape rule or is elementwise) or *composite*
(its body calls other ops, so that shape and derivative can be derived by tracing it)::

    @op
    def relu(x):
        "Rectified linear unit, max(x, 0), elementwise. Its derivative at 0 is 0."
        return maximum(x, 0)

    @relu.vjp
    def _(g, y, x):
        return masked(g, x > 0, x)

A rule calls ops, never numpy. Called with arrays it computes; called with graph values it adds nodes.
"""

from __future__ import annotations

import inspect
import typing
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import replace
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np

from dataflow.errors import DtypeError, OpError, PluginError, RuleError, counted
from dataflow.operations import attributes as attribute_module
from dataflow.operations.op_rules import Rule, Rules, Sample
from dataflow.operations.operands import Literal, as_array, as_operand, literals_of, specs_of
from dataflow.operations.outputs import Outputs, is_output_name, list_outputs, no_output
from dataflow.operations.rule_parameters import declared_inputs
from dataflow.shapes import DTYPES, Shape, TensorSpec, broadcast_shapes, format_shape, spec_of
from dataflow.support.arguments import describe
from dataflow.support.docstrings import doc_of

Structure: TypeAlias = typing.Literal["selection", "sum"]
Operation: TypeAlias = typing.Literal["multiplications", "divisions", "additions", "comparisons", "functions", "signs"]
"""What arithmetic costs: products; quotients; sums and differences; comparisons, those of a minimum or maximum among
them; evaluations of functions such as exp, power and the square root; negations and absolute values."""
OPERATIONS: tuple[Operation, ...] = typing.get_args(Operation)
Compares: TypeAlias = typing.Literal["classes", "binary", "numbers"]
ViewKind: TypeAlias = typing.Literal["always", "contiguous"]
MOST_SPECS = 1024
"""For so many kinds of arguments an op remembers what it makes of them."""


class Traced(ABC):
    """What a graph's ``Value`` is to an op: an argument that records the call instead of computing it."""

    @abstractmethod
    def apply_op(self, op: Op, arguments: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
        """Add the call to the graph that the value belongs to."""


class Op(Rules):
    """A registered op. Call it with arrays to compute, or with graph values to add a node."""

    def __init__(
        self,
        function: Rule,
        *,
        primitive: bool,
        elementwise: bool,
        name: str | None = None,
        outputs: Sequence[str] | Rule | None = None,
    ) -> None:
        if not inspect.isfunction(function):
            raise PluginError(f"an op is declared by a function with def, not by {describe(function)}")
        super().__init__()
        self.function = function
        self.name = name or function.__name__.rstrip("_")
        self.doc = doc_of(function)
        self.is_primitive = primitive
        self.elementwise = elementwise
        self.module = self.__module__ = function.__module__
        self.__qualname__ = function.__qualname__
        if not self.name.isidentifier():
            raise PluginError(f"op name {self.name!r} is not an identifier")
        if not self.doc:
            raise PluginError(f"op '{self.name}' has no docstring; say in one line what it computes")
        self.attributes = attribute_module.declared(function, f"op '{self.name}'")
        self.shape_attributes = tuple(name for name, attribute in self.attributes.items() if attribute.is_shape)
        self.graph_attributes = tuple(name for name, attribute in self.attributes.items() if attribute.is_graph)
        self.inputs, self.required_inputs, self.variadic = declared_inputs(function, f"op '{self.name}'")
        self.family: Op | None = None
        """The op with several outputs of which this one gives ``output_name``."""
        self.output_name: str | None = None
        self._outputs = None if outputs is None else self._declared_outputs(outputs)
        self._derived: dict[str, Op] = {}
        self.operation: Operation | typing.Literal["none"] | None = None
        """What the kernel does once for each entry of its result, if it does nothing else."""
        self.structure: Structure | None = None
        self.ufunc: np.ufunc | None = None
        self.reduces: np.ufunc | None = None
        self.view: ViewKind | None = None
        self.shape_only = False
        self.hides_nan = False
        """Whether it may give a number where an entry that the result depends on is NaN."""
        self.chooses = False
        """Whether it takes one of two branches, entry by entry."""
        self.compares: Compares | None = None
        """What it compares, its first input, a prediction, with its second, the target."""
        self.over_one_entry: float | None = None
        """What it gives over a single entry along its ``axis``, whatever that entry is."""
        self._dtypes: dict[tuple[Any, ...], np.dtype] = {}
        self._specs: dict[tuple[TensorSpec | type | None, ...], TensorSpec] = {}

    def __repr__(self) -> str:
        return f"<op {self.name}>"

    # -------------------------------------------------------------------------------------------- several outputs

    @property
    def family_name(self) -> str:
        """What files call it: the name of the op with several outputs of which it gives one, else its own."""
        return self.name if self.family is None else self.family.name

    def outputs_of(self, attributes: Mapping[str, Any]) -> tuple[str, ...]:
        """The names of its outputs, in order, with these attributes, which are bound."""
        if self._outputs is None:
            return ()
        if not callable(self._outputs) or self.graph_attributes:  # a graph may not be built yet, and has no hash then
            return _checked_outputs(self.family_name, self._outputs, attributes)
        return _kept_outputs(self.family_name, self._outputs, tuple(attributes.items()))[0]

    def _has_output(self, name: str, attributes: Mapping[str, Any]) -> bool:
        if not callable(self._outputs) or self.graph_attributes:
            return name in self.outputs_of(attributes)
        return name in _kept_outputs(self.family_name, self._outputs, tuple(attributes.items()))[1]

    @property
    def outputs_text(self) -> str:
        """The names of its outputs, or those that it has with the default attributes and that there may be others."""
        if not callable(self._outputs):
            return ", ".join(self._outputs or ())
        required = any(attribute.required for attribute in self.attributes.values())
        names = () if required else self.outputs_of(self.bind({}))
        return f"{list_outputs(names)}, as its attributes say" if names else "as its attributes say"

    def output(self, name: str) -> Op:
        """The op that gives this output alone: ``topk.output("values")`` is called ``topk:values``."""
        if name not in self._derived:
            fixed = () if self._outputs is None or callable(self._outputs) else self._outputs
            if not self.has_outputs or not is_output_name(name) or (fixed and name not in fixed):
                raise OpError(no_output(self.name, str(name), fixed))
            self._derived[name] = self._derive(name)
        return self._derived[name]

    def compute_outputs(self, arguments: Sequence[Any], attributes: Mapping[str, Any]) -> dict[str, Any]:
        """Run the body of an op with several outputs on arrays, as ``compute`` does: the array of each output."""
        names = self.outputs_of(attributes)
        results = self._run(lambda: self.by_name(self.function(*arguments, **attributes), names), arguments, attributes)
        return {name: as_array(self.name, result) for name, result in results.items()}

    def by_name(self, results: Any, names: Sequence[str]) -> dict[str, Any]:
        """What a rule gives for all outputs, by their names; a ``RuleError`` unless it is a tuple of so many."""
        if not isinstance(results, tuple | list | Outputs) or len(results) != len(names):
            raise RuleError(f"op '{self.name}' gives a tuple of its outputs: {', '.join(names)}")
        return dict(zip(names, results, strict=True))

    def _derive(self, name: str) -> Op:
        derived = object.__new__(Op)
        derived.__dict__.update(self.__dict__)
        derived.family, derived.output_name, derived.name = self, name, f"{self.name}:{name}"
        derived._derived, derived._dtypes, derived._specs = {}, {}, {}

        def picked(rule: Rule) -> Rule:
            def pick(*arguments: Any, **attributes: Any) -> Any:
                names = self.outputs_of(attributes)
                return self.by_name(rule(*arguments, **attributes), names)[name]

            return pick

        def samples(rng: np.random.Generator) -> Iterable[Sample]:
            for made in self.samples_rule(rng) if self.samples_rule else ():
                if name in self.outputs_of(self.bind(made.attributes)):
                    yield made

        derived.__dict__["function"] = picked(self.function)
        derived.shape_rule = self.shape_rule and picked(self.shape_rule)
        derived.batch_rule = self.batch_rule and picked(self.batch_rule)
        if (kink := self.kink_rule) is not None:
            derived.kink_rule = replace(kink, touched=picked(kink.touched))
        derived.samples_rule = self.samples_rule and samples
        return derived

    def _declared_outputs(self, outputs: Sequence[str] | Rule) -> tuple[str, ...] | Rule:
        if callable(outputs):
            own = self._parameters(outputs, "outputs")
            parameters = own.positional | own.keywords
            if unknown := parameters - self.attributes.keys():
                message = f"its outputs rule takes '{min(unknown)}', which is not an attribute of the op"
                raise PluginError(f"op '{self.name}': {message}")
            rule = outputs
            return lambda **attributes: rule(**{key: attributes[key] for key in parameters})
        names = tuple(outputs)
        if not names or isinstance(outputs, str) or not all(map(is_output_name, names)):
            raise PluginError(f'op \'{self.name}\': its outputs are names, as in outputs=("values", "indices")')
        if len(set(names)) < len(names):
            raise PluginError(f"op '{self.name}': two of its outputs have one name: {', '.join(names)}")
        return names

    # -------------------------------------------------------------------------------------------- using the op

    def __call__(self, *arguments: Any, **attributes: Any) -> Any:
        """Compute with arrays and numbers, or add a node when an argument is a graph ``Value``."""
        for argument in arguments:
            if type(argument) is not np.ndarray and isinstance(argument, Traced):
                return argument.apply_op(self, arguments, attributes)
        bound = self.bind(attributes) if attributes or self.attributes else {}
        operands = [as_operand(argument) for argument in self.complete(arguments)]
        if self.has_outputs:
            arrays = self.compute_outputs(operands, bound)
            return Outputs(self.name, tuple(arrays), arrays.__getitem__)
        return self.compute(operands, bound)

    def compute(self, arguments: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
        """Run the body on arrays; ``attributes`` are bound and their shapes are numbers. Returns an array."""
        return self._run(lambda: as_array(self.name, self.function(*arguments, **attributes)), arguments, attributes)

    def _run(self, body: Callable[[], Any], arguments: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
        try:
            return body()
        except (ValueError, TypeError, IndexError, ArithmeticError, AttributeError) as error:
            if self.is_primitive and not self.has_outputs:
                self.infer(specs_of(arguments), attributes, literals_of(arguments))
            hint = "" if self.is_primitive else _instead_of_python(error)
            raise RuleError(f"op '{self.name}' failed on arrays: {error}{hint}") from error

    def checked(self, result: Any, shape: Sequence[int], dtype: np.dtype) -> np.ndarray:
        """Check what the body gave against the declared shape and dtype; a ``RuleError`` where it differs."""
        array: np.ndarray = as_array(self.name, result)
        if array.shape != shape:
            raise RuleError(
                f"op '{self.name}' gave the shape {format_shape(array.shape)} where its shape rule says "
                f"{format_shape(shape)}"
            )
        if array.dtype != dtype:
            raise RuleError(
                f"op '{self.name}' gave {array.dtype} where {dtype} is declared; its body must return that, or its "
                f"shape rule a TensorSpec with the other dtype"
            )
        return array

    def bind(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """All attributes, checked and canonical, with defaults filled in; an ``OpError`` where they do not fit."""
        if not self.attributes and type(given) is dict and not given and self.output_name is None:
            return {}
        bound = attribute_module.bind(self.attributes, given, f"op '{self.name}'")
        if self.output_name is not None and not self._has_output(self.output_name, bound):
            raise OpError(no_output(self.family_name, self.output_name, self.outputs_of(bound)))
        return bound

    def complete(self, arguments: Sequence[Any]) -> list[Any]:
        """The arguments with ``None`` for each optional input left out; an ``OpError`` where their number is wrong."""
        count = len(arguments)
        if count == self.required_inputs == len(self.inputs) and not self.variadic:
            for argument in arguments:
                if argument is None:
                    self._refuse_missing(arguments)
            return list(arguments)
        if self.variadic:
            if count < 1:
                raise OpError(f"op '{self.name}' takes at least one input, none given")
            self._refuse_missing(arguments)
            return list(arguments)
        if not self.required_inputs <= count <= len(self.inputs):
            least, most = self.required_inputs, len(self.inputs)
            takes = counted(most, "input") if least == most else f"{least} to {most} inputs"
            names = f" ({', '.join(self.inputs)})" if self.inputs else ""
            keyword = f"; its attributes go by keyword: {', '.join(self.attributes)}" if self.attributes else ""
            raise OpError(f"op '{self.name}' takes {takes}{names}, {count} given{keyword if count > most else ''}")
        self._refuse_missing(arguments[: self.required_inputs])
        return [*arguments, *[None] * (len(self.inputs) - count)]

    def infer(
        self, specs: Sequence[TensorSpec | None], attributes: Mapping[str, Any], literals: Mapping[int, Literal]
    ) -> TensorSpec:
        """The output's shape and dtype for a primitive; ``literals`` are the arguments that are plain numbers."""
        if self.shape_rule is not None:
            result = self.shape_rule(*specs, **attributes)
            if isinstance(result, TensorSpec):
                return result
            return TensorSpec(tuple(result), self.result_dtype(specs, literals))
        if not self.elementwise:
            raise RuleError(f"op '{self.name}' is primitive and not elementwise, so it needs a shape rule")
        if attributes:
            return self._elementwise_spec(specs, attributes, literals)
        key = tuple(
            [type(literals[i]) if i in literals else spec for i, spec in enumerate(specs)] if literals else specs
        )
        if (known := self._specs.get(key)) is None:
            known = self._elementwise_spec(specs, attributes, literals)
            if len(self._specs) < MOST_SPECS:
                self._specs[key] = known
        elif literals:
            self._holding(literals, known.dtype)
        return known

    def _elementwise_spec(
        self, specs: Sequence[TensorSpec | None], attributes: Mapping[str, Any], literals: Mapping[int, Literal]
    ) -> TensorSpec:
        shape: Shape = broadcast_shapes(*[spec.shape for spec in specs if spec is not None])
        return spec_of(shape, self._elementwise_dtype(specs, attributes, literals))

    def result_dtype(self, specs: Sequence[TensorSpec | None], literals: Mapping[int, Literal]) -> np.dtype:
        """numpy's result type, in which plain numbers adapt to the arrays beside them."""
        dtypes = [literals.get(i, spec.dtype) for i, spec in enumerate(specs) if spec is not None]
        return self._holding(literals, np.result_type(*dtypes))

    def _holding(self, literals: Mapping[int, Literal], dtype: np.dtype) -> np.dtype:
        """The dtype of a result, which plain numbers take; a ``DtypeError`` where it does not hold one of them."""
        for number in literals.values() if dtype.kind in "iu" else ():
            if not np.iinfo(dtype).min <= number <= np.iinfo(dtype).max:
                raise DtypeError(f"op '{self.name}': {dtype} does not hold {number}; cast the array to a wider dtype")
        return dtype

    def _elementwise_dtype(
        self, specs: Sequence[TensorSpec | None], attributes: Mapping[str, Any], literals: Mapping[int, Literal]
    ) -> np.dtype:
        # Ask the kernel itself, with one element of each dtype.
        kinds = tuple(
            type(literals[i]) if i in literals else None if spec is None else spec.dtype for i, spec in enumerate(specs)
        )
        key = (kinds, tuple(attributes.items()))
        if key not in self._dtypes:
            probes = [
                kind(1) if isinstance(kind, type) else None if kind is None else np.ones(1, kind) for kind in kinds
            ]
            with np.errstate(all="ignore"):
                try:
                    dtype = np.asarray(self.function(*probes, **attributes)).dtype
                except TypeError:
                    names = ", ".join(str(spec.dtype) for spec in specs if spec is not None)
                    raise DtypeError(f"op '{self.name}' does not take {names}") from None
            floats = any(spec is not None and spec.is_float for spec in specs) or float in kinds
            if dtype.name not in DTYPES or (dtype.kind == "f" and dtype.itemsize < 8 and not floats):
                names = ", ".join(str(spec.dtype) for spec in specs if spec is not None)
                raise DtypeError(f"op '{self.name}' of {names} gives {dtype}; cast its inputs to float64 or float32")
            self._dtypes[key] = dtype
        return self._holding(literals, self._dtypes[key])

    # -------------------------------------------------------------------------------------------- documentation

    @property
    def summary(self) -> str:
        """The docstring's first paragraph on one line."""
        return " ".join(self.doc.split("\n\n")[0].split())

    @property
    def signature(self) -> str:
        """How a file calls it: ``sum(x, axis=None, keepdims=False)``."""
        inputs = [f"*{self.inputs[0]}"] if self.variadic else list(self.inputs)
        for attribute in self.attributes.values():
            inputs.append(
                attribute.name + ("" if attribute.required else f"={attribute_module.plain(attribute.default)!r}")
            )
        called = f"{self.family_name}({', '.join(inputs)})"
        return called if self.output_name is None else f'{called}["{self.output_name}"]'

    # -------------------------------------------------------------------------------------------- internals

    def _refuse_missing(self, required: Sequence[Any]) -> None:
        for i, argument in enumerate(required):
            if argument is None:
                missing = f"number {i + 1}" if self.variadic else f"'{self.inputs[i]}'"
                raise OpError(f"op '{self.name}': input {missing} is None; only an optional input may be left out")


@lru_cache(maxsize=256)
def _kept_outputs(op: str, outputs: Rule, attributes: tuple[tuple[str, Any], ...]) -> tuple[tuple[str, ...], Set[str]]:
    """The names of the outputs of an op with these attributes, in order and as a set: there may be thousands."""
    names = _checked_outputs(op, outputs, dict(attributes))
    return names, frozenset(names)


def _checked_outputs(op: str, outputs: Sequence[str] | Rule, attributes: Mapping[str, Any]) -> tuple[str, ...]:
    names = tuple(outputs(**attributes) if callable(outputs) else outputs)
    if not names or not all(map(is_output_name, names)) or len(set(names)) < len(names):
        raise RuleError(f"op '{op}': its outputs have names, each another, not {names}")
    return names


def _instead_of_python(error: Exception) -> str:
    """What to write where the body of a composite op asks Python for what an op gives."""
    if "truth value" in str(error):
        return "; a choice entry by entry is where(condition, a, b)"
    return (
        "; its body calls ops, such as dataflow.ops.exp, not functions of one number"
        if isinstance(error, TypeError)
        else ""
    )
