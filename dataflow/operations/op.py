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
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Any, TypeAlias, overload

import numpy as np

from dataflow.errors import DtypeError, OpError, PluginError, RuleError
from dataflow.operations import attributes as attribute_module
from dataflow.operations.outputs import Outputs, is_output_name, list_outputs, no_output, several_outputs
from dataflow.operations.rule_parameters import RuleParameters, parameters_of
from dataflow.shapes import DTYPES, Shape, TensorSpec, broadcast_shapes, format_shape
from dataflow.support.arguments import checked, describe
from dataflow.support.arrays import masked_types
from dataflow.support.conversion import EntryError, to_array, to_dtype
from dataflow.support.docstrings import doc_of

Literal: TypeAlias = int | float | bool
Rule: TypeAlias = Callable[..., Any]
Structure: TypeAlias = typing.Literal["selection", "sum"]
Operation: TypeAlias = typing.Literal["multiplications", "divisions", "additions", "comparisons", "functions", "signs"]
"""What arithmetic costs: products; quotients; sums and differences; comparisons, those of a minimum or maximum among
them; evaluations of functions such as exp, power and the square root; negations and absolute values."""
OPERATIONS: tuple[Operation, ...] = typing.get_args(Operation)
Compares: TypeAlias = typing.Literal["classes", "binary", "numbers"]
ViewKind: TypeAlias = typing.Literal["always", "contiguous"]


class Traced(ABC):
    """What a graph's ``Value`` is to an op: an argument that records the call instead of computing it."""

    @abstractmethod
    def apply_op(self, op: Op, arguments: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
        """Add the call to the graph that the value belongs to."""


@dataclass(frozen=True)
class Sample:
    """Arguments on which the general tests run an op: arrays inside its smooth domain, except where a test looks for
    kinks."""

    arguments: tuple[Any, ...]
    attributes: dict[str, Any] = field(default_factory=dict)


def sample(*arguments: Any, **attributes: Any) -> Sample:
    """``sample(x, axis=0)``: one call of the op, for its ``samples`` rule."""
    return Sample(arguments, attributes)


@dataclass(frozen=True)
class Kink:
    """Where an op has no derivative: ``touched(*inputs)`` is a mask over the output; ``convention`` says what
    holds there, and ``derivative`` says it as a number, where it is one."""

    convention: str
    touched: Rule
    derivative: float | None = None


class Op:
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
        self.inputs, self.required_inputs, self.variadic = self._declared_inputs()
        self.family: Op | None = None
        """The op with several outputs of which this one gives ``output_name``."""
        self.output_name: str | None = None
        self._outputs = None if outputs is None else self._declared_outputs(outputs)
        self._derived: dict[str, Op] = {}
        self.shape_rule: Rule | None = None
        self.vjp_rule: Rule | None = None
        self.vjp_rules_by_input: dict[int, Rule] = {}
        self.jacobian_rule: Rule | None = None
        self.training_rule: Rule | None = None
        self.state_inputs: tuple[int, ...] = ()
        """The inputs that its body for training gives new values for."""
        self.batch_rule: Rule | None = None
        self.local_rules: dict[int, Rule] = {}
        self.symbolic_rule: Rule | None = None
        self.formula_rule: Rule | None = None
        self.symbol: str | None = None
        """What formulas call it, if that is not its name."""
        self.cost_rule: Rule | None = None
        self.exact_cost = True
        """Whether the cost rule says exactly what the kernel does, whatever the entries."""
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
        self.into_rule: Rule | None = None
        self.kink_rule: Kink | None = None
        self.samples_rule: Callable[[np.random.Generator], Iterable[Sample]] | None = None
        self._dtypes: dict[tuple[Any, ...], np.dtype] = {}

    def __repr__(self) -> str:
        return f"<op {self.name}>"

    # -------------------------------------------------------------------------------------------- declaring the rules

    @overload
    def vjp(self, rule: Rule) -> Rule: ...
    @overload
    def vjp(self, *, wrt: str) -> Callable[[Rule], Rule]: ...
    def vjp(self, rule: Rule | None = None, *, wrt: str | None = None) -> Any:
        """The vector-Jacobian product. ``@op.vjp``: ``rule(g, y, *inputs, **attributes)`` returns a cotangent for
        each input (one alone, not in a tuple, for an op of one input; ``None`` for one that has no derivative).
        ``@op.vjp(wrt="x")``: the cotangent of that input alone, computed only when it is asked for.

        ``g`` has the shape of the output ``y``. A cotangent has its input's shape; for an elementwise op, axes
        that were broadcast are summed by the caller of the rule.
        """
        if rule is not None:
            self.vjp_rule = self._accepting(rule, "vjp", 2)
            return rule
        if wrt not in self.inputs:
            raise PluginError(f"op '{self.name}': vjp(wrt={wrt!r}) names no input; available: {', '.join(self.inputs)}")

        def register(rule: Rule) -> Rule:
            self.vjp_rules_by_input[self.inputs.index(wrt)] = self._accepting(rule, f"vjp wrt {wrt}", 2)
            return rule

        return register

    def jacobian(self, rule: Rule) -> Rule:
        """``rule(y, *inputs, **attributes)`` returns a matrix for each input (one alone for an op of one input):
        rows are the entries of the output, columns those of the input, both in row-major order."""
        self.jacobian_rule = self._accepting(rule, "jacobian", 1)
        return rule

    def shape(self, rule: Rule) -> Rule:
        """``rule(*input_specs, **attributes)`` returns the output's shape, or a ``TensorSpec`` where the dtype is not
        numpy's result type of the inputs. It raises a ``ShapeError`` for inputs that do not fit."""
        self.shape_rule = self._accepting(rule, "shape", 0)
        return rule

    @overload
    def training(self, rule: Rule) -> Rule: ...
    @overload
    def training(self, *, state: Sequence[str]) -> Callable[[Rule], Rule]: ...
    def training(self, rule: Rule | None = None, *, state: Sequence[str] = ()) -> Any:
        """Another body for training: ``rule(random, *inputs, **attributes)`` returns the result, of the same shape and
        dtype. It calls ops, and its gradient is found from theirs. ``random(x)`` gives random numbers from 0 up to 1,
        in the shape of ``x``: others in each minibatch, and the same when a run is repeated or goes on.

        ``@op.training(state=("mean", "variance"))``: where these inputs are parameters, they are state, which no
        optimizer changes. The rule returns the result and then a new value for each, which the parameters have after
        the minibatch. Where one of them is frozen, or is no parameter, the ordinary body is used."""
        if self.has_outputs:
            raise PluginError(f"op '{self.name}' has several outputs; a body for training is that of an op of one")

        def register(rule: Rule) -> Rule:
            self.training_rule = self._accepting(rule, "training", 1)
            self.state_inputs = tuple(self.inputs.index(name) for name in state)
            return rule

        if rule is not None:
            return register(rule)
        if isinstance(state, str) or not state or (unknown := [name for name in state if name not in self.inputs]):
            wrong = f"names '{unknown[0]}', which is no input" if not isinstance(state, str) and state else ""
            wrong = wrong or f"is a tuple of names of inputs, not {state!r}"
            raise PluginError(f"op '{self.name}': state= {wrong}; available: {', '.join(self.inputs)}")
        return register

    def symbolic(self, rule: Rule) -> Rule:
        """``rule(sympy, *inputs)`` writes one entry of an elementwise op's result as a sympy expression of the
        inputs' entries. Symbolic derivations use it; an op that only moves, adds or multiplies entries needs none."""
        self.symbolic_rule = self._accepting(rule, "symbolic", 1)
        return rule

    def formula(self, written: Rule | str) -> Any:
        """How people write the op in formulas: ``rule(*inputs, **attributes)`` says it in ops, as ½ Σ (a − b)²; a text
        is the function's symbol, such as ``"σ"``. What is computed does not depend on it."""
        if isinstance(written, str):
            self.symbol = written
        else:
            self.formula_rule = self._accepting(written, "formula", 0)
        return written

    def local(self, *, wrt: str) -> Callable[[Rule], Rule]:
        """``rule(y, *inputs, **attributes)`` returns the Jacobian with respect to that input as an operator that
        knows its structure, or ``None`` where it has none for these inputs. Only explanations use it."""
        if wrt not in self.inputs:
            raise PluginError(
                f"op '{self.name}': local(wrt={wrt!r}) names no input; available: {', '.join(self.inputs)}"
            )

        def register(rule: Rule) -> Rule:
            self.local_rules[self.inputs.index(wrt)] = self._accepting(rule, "local", 1)
            return rule

        return register

    def kink(self, convention: str, *, derivative: float | None = None) -> Callable[[Rule], Rule]:
        """``rule(*inputs)`` returns a mask, true where the op has no derivative; ``convention`` says what is used.
        Where that is one number, ``derivative`` gives it, and the general tests hold the derivative rule to it."""

        def register(rule: Rule) -> Rule:
            self.kink_rule = Kink(convention, self._accepting(rule, "kink", 0), derivative)
            return rule

        return register

    def batch(self, rule: Rule) -> Rule:
        """``rule(batched, *inputs, **attributes)`` runs the op on many sets of inputs at once: the inputs for
        which the mask ``batched`` is true have a new first axis, and so has the result. An elementwise op needs
        none; a composite one neither; a primitive op without it is run set by set."""
        self.batch_rule = self._accepting(rule, "batch", 1)
        return rule

    @overload
    def cost(self, rule: Rule) -> Rule: ...
    @overload
    def cost(self, *, exact: bool) -> Callable[[Rule], Rule]: ...
    def cost(self, rule: Rule | None = None, *, exact: bool = True) -> Any:
        """``rule(y, *input_specs, **attributes)`` returns the ``Cost`` of one call: what the kernel multiplies, adds,
        compares, ..., exactly, from the specs of the result and of the inputs (a plain number's shape is ``()``). A
        composite op needs none, nor does one whose declaration says its ``operation`` or ``structure``. Where the
        entries decide how much there is to do, as in a sort, ``@op.cost(exact=False)`` says about how much it is."""

        def register(rule: Rule) -> Rule:
            self.cost_rule = self._accepting(rule, "cost", 1)
            self.exact_cost = exact
            return rule

        return register if rule is None else register(rule)

    def into(self, rule: Rule) -> Rule:
        """``rule(out, *inputs, **attributes)`` returns how to compute into ``out``: a ``functools.partial`` of a
        function and what it is called with, or a tuple of those, called in order each time the plan runs. So nothing is
        allocated, and everything is decided once.

        ``out`` and the arrays that change from run to run have a shape, a dtype, strides, and views by slicing,
        ``reshape``, ``transpose`` and ``view``, but no entries yet: to read one is an error. Constants are arrays whose
        entries may be read; plain numbers and ``None`` come as they are. ``out`` is in row-major order. For an
        elementwise op it may be one of the inputs' memory. A primitive op without this rule, and without a ``ufunc``,
        still runs: its result is copied."""
        self.into_rule = self._accepting(rule, "into", 1)
        return rule

    def samples(self, rule: Callable[[np.random.Generator], Iterable[Sample]]) -> Rule:
        """``rule(rng)`` yields ``sample(...)`` calls for the general tests."""
        self.samples_rule = rule
        return rule

    # -------------------------------------------------------------------------------------------- several outputs

    @property
    def has_outputs(self) -> bool:
        """Whether it has several named outputs, each of which is an op: a node's op is one of these."""
        return self._outputs is not None and self.family is None

    @property
    def family_name(self) -> str:
        """What files call it: the name of the op with several outputs of which it gives one, else its own."""
        return self.name if self.family is None else self.family.name

    def outputs_of(self, attributes: Mapping[str, Any]) -> tuple[str, ...]:
        """The names of its outputs, in order, with these attributes, which are bound."""
        if self._outputs is None:
            return ()
        names = tuple(self._outputs(**attributes)) if callable(self._outputs) else self._outputs
        if not names or not all(map(is_output_name, names)) or len(set(names)) < len(names):
            raise RuleError(f"op '{self.family_name}': its outputs have names, each another, not {names}")
        return names

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
        results = self._run(lambda: self._each(self.function(*arguments, **attributes), names), arguments, attributes)
        return {name: _as_array(self, result) for name, result in zip(names, results, strict=True)}

    def _derive(self, name: str) -> Op:
        derived = object.__new__(Op)
        derived.__dict__.update(self.__dict__)
        derived.family, derived.output_name, derived.name = self, name, f"{self.name}:{name}"
        derived._derived, derived._dtypes = {}, {}

        def picked(rule: Rule) -> Rule:
            def pick(*arguments: Any, **attributes: Any) -> Any:
                names = self.outputs_of(attributes)
                return self._each(rule(*arguments, **attributes), names)[names.index(name)]

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

    def _each(self, results: Any, names: Sequence[str]) -> Sequence[Any]:
        if not isinstance(results, tuple | list | Outputs) or len(results) != len(names):
            raise RuleError(f"op '{self.name}' gives a tuple of its outputs: {', '.join(names)}")
        return results

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
        operands = [_as_operand(argument) for argument in self.complete(arguments)]
        if self.has_outputs:
            arrays = self.compute_outputs(operands, bound)
            return Outputs(self.name, tuple(arrays), arrays.__getitem__)
        return self.compute(operands, bound)

    def compute(self, arguments: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
        """Run the body on arrays; ``attributes`` are bound and their shapes are numbers. Returns an array."""
        return self._run(lambda: _as_array(self, self.function(*arguments, **attributes)), arguments, attributes)

    def _run(self, body: Callable[[], Any], arguments: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
        try:
            return body()
        except (ValueError, TypeError, IndexError, ArithmeticError, AttributeError) as error:
            if self.is_primitive and not self.has_outputs:
                self.infer(specs_of(arguments), attributes, literals_of(arguments))
            raise RuleError(f"op '{self.name}' failed on arrays: {error}") from error

    def checked(self, result: Any, shape: Sequence[int], dtype: np.dtype) -> np.ndarray:
        """Check what the body gave against the declared shape and dtype; a ``RuleError`` where it differs."""
        array: np.ndarray = _as_array(self, result)
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
        bound = attribute_module.bind(self.attributes, given, f"op '{self.name}'")
        if self.output_name is not None and self.output_name not in (names := self.outputs_of(bound)):
            raise OpError(no_output(self.family_name, self.output_name, names))
        return bound

    def complete(self, arguments: Sequence[Any]) -> list[Any]:
        """The arguments with ``None`` for each optional input left out; an ``OpError`` where their number is wrong."""
        count = len(arguments)
        if self.variadic:
            if count < 1:
                raise OpError(f"op '{self.name}' takes at least one input, none given")
            self._refuse_missing(arguments)
            return list(arguments)
        if not self.required_inputs <= count <= len(self.inputs):
            least, most = self.required_inputs, len(self.inputs)
            takes = f"{most} input{'s' if most != 1 else ''}" if least == most else f"{least} to {most} inputs"
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
        shape: Shape = broadcast_shapes(*(spec.shape for spec in specs if spec is not None))
        return TensorSpec(shape, self._elementwise_dtype(specs, attributes, literals))

    def result_dtype(self, specs: Sequence[TensorSpec | None], literals: Mapping[int, Literal]) -> np.dtype:
        """numpy's result type, in which plain numbers adapt to the arrays beside them."""
        dtypes = [literals.get(i, spec.dtype) for i, spec in enumerate(specs) if spec is not None]
        return np.result_type(*dtypes)

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
        return self._dtypes[key]

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

    def _declared_inputs(self) -> tuple[tuple[str, ...], int, bool]:
        names, required, variadic = [], 0, False
        for parameter in inspect.signature(self.function).parameters.values():
            if parameter.kind is parameter.KEYWORD_ONLY:
                continue
            if parameter.kind is parameter.VAR_KEYWORD:
                raise PluginError(
                    f"op '{self.name}': **{parameter.name} is not an attribute; declare each by name and type"
                )
            if parameter.kind is parameter.VAR_POSITIONAL:
                variadic = True
            elif parameter.default is parameter.empty:
                required += 1
            elif parameter.default is not None:
                raise PluginError(
                    f"op '{self.name}': input '{parameter.name}' has a default; an optional input's is None, "
                    f"and an attribute stands after '*'"
                )
            names.append(parameter.name)
        if not names:
            raise PluginError(f"op '{self.name}' takes no inputs; a constant is declared in the model")
        if variadic and len(names) > 1:
            raise PluginError(f"op '{self.name}': a variadic op has *{names[-1]} and nothing beside it")
        return tuple(names), required, variadic

    def _refuse_missing(self, required: Sequence[Any]) -> None:
        for i, argument in enumerate(required):
            if argument is None:
                missing = f"number {i + 1}" if self.variadic else f"'{self.inputs[i]}'"
                raise OpError(f"op '{self.name}': input {missing} is None; only an optional input may be left out")

    def _parameters(self, rule: Rule, kind: str) -> RuleParameters:
        try:
            return parameters_of(rule)
        except (TypeError, ValueError):
            raise PluginError(f"op '{self.name}': its {kind} rule is a function, not {describe(rule)}") from None

    def _accepting(self, rule: Rule, kind: str, leading: int) -> Rule:
        """Check a rule's parameters when it is declared, and hand it the attributes that it takes."""
        if self.has_outputs and kind.split(maxsplit=1)[0] not in ("vjp", "shape", "batch", "cost", "kink"):
            raise PluginError(f"op '{self.name}' has several outputs, for which there is no {kind} rule")
        positional, keywords, takes_any, takes_any_keyword = self._parameters(rule, kind)
        wanted = leading + (0 if self.variadic else len(self.inputs))
        if (len(positional) > wanted) if takes_any else (len(positional) != wanted or self.variadic):
            first = {"batch": "batched", "symbolic": "sympy", "into": "out", "training": "random"}.get(kind)
            names = [first] if first else ["g", "y"][2 - leading :]
            names += [("*" if self.variadic else "") + name for name in self.inputs]
            raise PluginError(
                f"op '{self.name}': its {kind} rule takes ({', '.join(names)}), then attributes by keyword"
            )
        if unknown := keywords - self.attributes.keys():
            raise PluginError(
                f"op '{self.name}': its {kind} rule takes '{min(unknown)}', which is not an attribute of the op"
            )
        if takes_any_keyword or keywords == self.attributes.keys():
            return rule

        def with_own_attributes(*arguments: Any, **attributes: Any) -> Any:
            return rule(*arguments, **{name: attributes[name] for name in keywords})

        return with_own_attributes


@overload
def op(function: Rule) -> Op: ...
@overload
def op(
    *,
    name: str | None = None,
    outputs: tuple[str, ...] | Callable[..., Sequence[str]] | None = None,
    hides_nan: bool = False,
    chooses: bool = False,
    compares: Compares | None = None,
    over_one_entry: float | None = None,
) -> Callable[[Rule], Op]: ...
@checked
def op(
    function: Rule | None = None,
    *,
    name: str | None = None,
    outputs: tuple[str, ...] | Callable[..., Sequence[str]] | None = None,
    hides_nan: bool = False,
    chooses: bool = False,
    compares: Compares | None = None,
    over_one_entry: float | None = None,
) -> Any:
    """Declare a composite op: the body calls other ops. ``name`` if it is not the function's own; ``hides_nan`` and
    ``chooses`` as of a primitive one.

    ``outputs`` is for an op that gives several arrays, each by its name, such as ``("values", "indices")``: the body,
    the shape rule and the batch rule return a tuple of them, and a vjp rule takes such tuples for ``g`` and ``y``. It
    may be a function of attributes, which it takes by keyword, that returns the names.

    ``compares`` is for a loss of a prediction, its first input, and a target, its second, and says what they are:
    "classes" (logits and shares along a last axis of classes), "binary" (a logit and a share of "yes", each for itself)
    or "numbers". It decides which metrics fit. ``over_one_entry`` is what an op that normalizes along its attribute
    ``axis`` gives where that has a single entry, such as 1 for softmax: a model that does so gets a warning.
    """

    def declare(body: Rule) -> Op:
        declared = Op(body, primitive=False, elementwise=False, name=name, outputs=outputs)
        declared.hides_nan, declared.chooses = hides_nan, chooses
        declared.compares, declared.over_one_entry = compares, over_one_entry
        if over_one_entry is not None and "axis" not in declared.attributes:
            raise PluginError(f"op '{declared.name}' declares over_one_entry, but has no attribute 'axis'")
        if compares and len(declared.inputs) < 2:
            raise PluginError(f"op '{declared.name}' declares compares; it needs two inputs, a prediction and a target")
        return declared

    return declare if function is None else declare(function)


@overload
def primitive(function: Rule) -> Op: ...
@overload
def primitive(
    *,
    name: str | None = None,
    outputs: tuple[str, ...] | Callable[..., Sequence[str]] | None = None,
    elementwise: bool = False,
    structure: Structure | None = None,
    operation: Operation | typing.Literal["none"] | None = None,
    ufunc: np.ufunc | None = None,
    reduces: np.ufunc | None = None,
    view: ViewKind | None = None,
    shape_only: bool = False,
    hides_nan: bool = False,
    chooses: bool = False,
) -> Callable[[Rule], Op]: ...
@checked
def primitive(
    function: Rule | None = None,
    *,
    name: str | None = None,
    outputs: tuple[str, ...] | Callable[..., Sequence[str]] | None = None,
    elementwise: bool = False,
    structure: Structure | None = None,
    operation: Operation | typing.Literal["none"] | None = None,
    ufunc: np.ufunc | None = None,
    reduces: np.ufunc | None = None,
    view: ViewKind | None = None,
    shape_only: bool = False,
    hides_nan: bool = False,
    chooses: bool = False,
) -> Any:
    """Declare a primitive op: the body is its numpy kernel. ``elementwise`` ops broadcast and need no shape rule.
    ``outputs`` as of a composite one.

    ``structure`` is "selection" for an op that only moves or repeats entries, "sum" for one that only adds them up.
    ``operation`` says what it costs, if that is one operation for each entry of the result, such as "multiplications"
    or "functions", or "none"; for anything else there is ``@op.cost``.
    The rest lets plans run it faster. ``ufunc`` is the numpy ufunc that the body calls with all inputs and nothing
    else. ``reduces`` is the ufunc whose reduction over some axes the op is. ``view`` is "always" where the
    body returns a view of its first input, whatever the entries, and "contiguous" where it does so if that input is in
    row-major order. ``shape_only`` is for an op whose result depends on its inputs' shapes and dtypes alone.
    ``hides_nan`` is for an op that may give a number where an entry that it depends on is NaN, such as a comparison.
    ``chooses`` is for an op that takes one of two branches, entry by entry: training names the choice where NaN comes
    from the branch not taken.
    """
    if operation is not None and operation not in (*OPERATIONS, "none"):
        raise PluginError(f"operation={operation!r} is not known; available: {', '.join(OPERATIONS)} and none")

    def declare(body: Rule) -> Op:
        declared = Op(body, primitive=True, elementwise=elementwise, name=name, outputs=outputs)
        declared.structure = structure
        declared.operation = operation
        declared.ufunc, declared.reduces, declared.view, declared.shape_only = ufunc, reduces, view, shape_only
        declared.hides_nan, declared.chooses = hides_nan, chooses
        return declared

    return declare if function is None else declare(function)


@checked
def ops_in(module: ModuleType) -> list[Op]:
    """The ops that a module defines itself, in order, for a plugin's ``register_ops``; each once, whatever else refers
    to it."""
    own = (value for value in vars(module).values() if isinstance(value, Op) and value.module == module.__name__)
    return list(dict.fromkeys(own))


def specs_of(arguments: Sequence[Any]) -> list[TensorSpec | None]:
    """The specs of arrays and numbers."""
    arrays = [None if argument is None else np.asarray(argument) for argument in arguments]
    return [None if array is None else TensorSpec(array.shape, array.dtype) for array in arrays]


def literals_of(arguments: Sequence[Any]) -> dict[int, Literal]:
    """The arguments that are plain numbers, by position."""
    return {i: argument for i, argument in enumerate(arguments) if type(argument) in (int, float, bool)}


def with_literals(specs: Sequence[TensorSpec | None], literals: Mapping[int, Literal]) -> list[TensorSpec | None]:
    """The arguments' specs with those of plain numbers, which take the dtype of the arrays beside them."""
    beside = [spec.dtype for spec in specs if spec is not None]
    return [
        TensorSpec((), np.result_type(literals[i], *beside)) if i in literals else spec for i, spec in enumerate(specs)
    ]


def refuse_outputs(argument: Any) -> None:
    """An ``OpError`` where all outputs of an op are given for an array."""
    if isinstance(argument, Outputs):
        raise OpError(several_outputs("an input", argument.names, lambda name: f'["{name}"]'))


def _as_array(op: Op, result: Any) -> Any:
    if type(result) is not np.ndarray and isinstance(result, masked_types()):
        raise RuleError(f"op '{op.name}' gave a masked array, whose mask would be lost; fill it in the body")
    return np.asarray(result)


def _as_operand(argument: Any) -> Any:
    # Plain numbers stay plain, so that they take the dtype of the arrays beside them.
    if argument is None or type(argument) in (int, float, bool):
        return argument
    if type(argument) is not np.ndarray:
        refuse_outputs(argument)
        try:
            argument = to_array(argument)
            argument = to_dtype(argument, np.dtype(np.int64)) if argument.dtype.kind == "O" else argument
        except EntryError as error:
            raise DtypeError(f"an op takes arrays of numbers: {error.message}") from None
    if argument.dtype.kind not in "fiub":
        raise DtypeError(f"an op takes arrays of numbers, not {argument.dtype}")
    return argument if argument.dtype.isnative else to_dtype(argument, argument.dtype.newbyteorder("="))
