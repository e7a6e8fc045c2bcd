"""What an op is: a function, its derivative, its shape rule, its attributes, its documentation and its samples.

An op is *primitive* (its body is the numpy kernel, and it brings a shape rule or is elementwise) or *composite*
(its body calls other ops, so that shape and derivative can be derived by tracing it)::

    @op
    def relu(x):
        "Rectified linear unit, max(x, 0), elementwise. Its derivative at 0 is 0."
        return where(x > 0, x, 0)

    @relu.vjp
    def _(g, y, x):
        return where(x > 0, g, 0)

A rule calls ops, never numpy. Called with arrays it computes; called with graph values it adds nodes.
"""

from __future__ import annotations

import inspect
import typing
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, TypeAlias, overload

import numpy as np

from dataflow import attributes as attribute_module
from dataflow.errors import DtypeError, OpError, PluginError, RuleError
from dataflow.shapes import DTYPES, Shape, TensorSpec, broadcast_shapes

Literal: TypeAlias = int | float | bool
Rule: TypeAlias = Callable[..., Any]
Structure: TypeAlias = typing.Literal["selection", "sum"]
Operation: TypeAlias = typing.Literal["multiplications", "divisions", "additions", "comparisons", "functions", "signs"]
"""What arithmetic costs: products; quotients; sums and differences; comparisons, those of a minimum or maximum among
them; evaluations of functions such as exp, power and the square root; negations and absolute values."""
OPERATIONS: tuple[Operation, ...] = typing.get_args(Operation)
ViewKind: TypeAlias = typing.Literal["always", "contiguous"]


class Traced(ABC):
    """What a graph's ``Value`` is to an op: an argument that records the call instead of computing it."""

    @abstractmethod
    def apply_op(self, op: Op, arguments: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
        """Add the call to the graph that the value belongs to."""


@dataclass(frozen=True)
class Sample:
    """Arguments on which the general tests run an op: arrays inside its smooth domain, unless the test looks for
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

    def __init__(self, function: Rule, *, primitive: bool, elementwise: bool, name: str | None = None) -> None:
        self.function = function
        self.name = name or function.__name__.rstrip("_")
        self.doc = inspect.cleandoc(function.__doc__ or "")
        self.is_primitive = primitive
        self.elementwise = elementwise
        self.module = function.__module__
        if not self.name.isidentifier():
            raise PluginError(f"op name {self.name!r} is not an identifier")
        if not self.doc:
            raise PluginError(f"op '{self.name}' has no docstring; say in one line what it computes")
        self.attributes = attribute_module.declared(function, f"op '{self.name}'")
        self.shape_attributes = tuple(name for name, attribute in self.attributes.items() if attribute.is_shape)
        self.inputs, self.required_inputs, self.variadic = self._declared_inputs()
        self.shape_rule: Rule | None = None
        self.vjp_rule: Rule | None = None
        self.vjp_rules_by_input: dict[int, Rule] = {}
        self.jacobian_rule: Rule | None = None
        self.batch_rule: Rule | None = None
        self.local_rules: dict[int, Rule] = {}
        self.symbolic_rule: Rule | None = None
        self.cost_rule: Rule | None = None
        self.operation: Operation | typing.Literal["none"] | None = None
        """What the kernel does once for each entry of its result, if that is all that it does."""
        self.structure: Structure | None = None
        self.ufunc: np.ufunc | None = None
        self.reduces: np.ufunc | None = None
        self.view: ViewKind | None = None
        self.shape_only = False
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
            raise PluginError(f"op '{self.name}': vjp(wrt={wrt!r}) names no input; there is {', '.join(self.inputs)}")

        def register(one: Rule) -> Rule:
            self.vjp_rules_by_input[self.inputs.index(wrt)] = self._accepting(one, f"vjp wrt {wrt}", 2)
            return one

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

    def symbolic(self, rule: Rule) -> Rule:
        """``rule(sympy, *inputs)`` writes one entry of an elementwise op's result as a sympy expression of the
        inputs' entries. Symbolic derivations use it; an op that only moves, adds or multiplies entries needs none."""
        self.symbolic_rule = self._accepting(rule, "symbolic", 1)
        return rule

    def local(self, *, wrt: str) -> Callable[[Rule], Rule]:
        """``rule(y, *inputs, **attributes)`` returns the Jacobian with respect to that input as an operator that
        knows its structure, or ``None`` where it has none for these inputs. Only explanations use it."""
        if wrt not in self.inputs:
            raise PluginError(f"op '{self.name}': local(wrt={wrt!r}) names no input; there is {', '.join(self.inputs)}")

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

    def cost(self, rule: Rule) -> Rule:
        """``rule(y, *input_specs, **attributes)`` returns the ``Cost`` of one call: what the kernel multiplies, adds,
        compares, ..., exactly, from the specs of the result and of the inputs (a plain number's shape is ``()``). A
        composite op needs none, nor does one whose declaration says its ``operation`` or ``structure``."""
        self.cost_rule = self._accepting(rule, "cost", 1)
        return rule

    def into(self, rule: Rule) -> Rule:
        """``rule(out, *inputs, **attributes)`` returns a function without arguments that computes from these very
        arrays into ``out`` each time it is called, so that nothing is allocated and everything is decided once. Plain
        numbers and ``None`` come as they are; ``out`` is in row-major order. For an elementwise op it may be one of
        the inputs' memory. A primitive op without this rule, and without a ``ufunc``, still runs: its result is
        copied."""
        self.into_rule = self._accepting(rule, "into", 1)
        return rule

    def samples(self, rule: Callable[[np.random.Generator], Iterable[Sample]]) -> Rule:
        """``rule(rng)`` yields ``sample(...)`` calls for the general tests."""
        self.samples_rule = rule
        return rule

    # -------------------------------------------------------------------------------------------- using the op

    def __call__(self, *arguments: Any, **given: Any) -> Any:
        """Compute with arrays and numbers, or add a node when an argument is a graph ``Value``."""
        for argument in arguments:
            if isinstance(argument, Traced):
                return argument.apply_op(self, arguments, given)
        attributes = self.bind(given) if given or self.attributes else {}
        return self.compute([_as_operand(argument) for argument in self.complete(arguments)], attributes)

    def compute(self, arguments: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
        """Run the body on arrays; ``attributes`` are bound and their shapes are numbers. Returns an array."""
        try:
            return np.asarray(self.function(*arguments, **attributes))
        except (ValueError, TypeError, IndexError, OverflowError, AttributeError) as error:
            if self.is_primitive:
                self.infer(specs_of(arguments), attributes, _literals(arguments))
            raise RuleError(f"op '{self.name}' failed on arrays: {error}") from error

    def bind(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """All attributes, checked and canonical, with defaults filled in; an ``OpError`` where they do not fit."""
        return attribute_module.bind(self.attributes, given, f"op '{self.name}'")

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
        # The kernel itself knows best: it is asked with one element of each dtype.
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
            if dtype.name not in DTYPES:
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
        return f"{self.name}({', '.join(inputs)})"

    # -------------------------------------------------------------------------------------------- internals

    def _declared_inputs(self) -> tuple[tuple[str, ...], int, bool]:
        names, required, variadic = [], 0, False
        for parameter in inspect.signature(self.function).parameters.values():
            if parameter.kind is parameter.KEYWORD_ONLY:
                continue
            if parameter.kind is parameter.VAR_KEYWORD:
                raise PluginError(
                    f"op '{self.name}': **{parameter.name} is no attribute; declare each by name and type"
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

    def _accepting(self, rule: Rule, kind: str, leading: int) -> Rule:
        """Check a rule's parameters when it is declared, and hand it the attributes that it takes."""
        parameters = inspect.signature(rule).parameters.values()
        positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        takes_any = any(p.kind is p.VAR_POSITIONAL for p in parameters)
        wanted = leading + (0 if self.variadic else len(self.inputs))
        if (len(positional) > wanted) if takes_any else (len(positional) != wanted or self.variadic):
            first = {"batch": "batched", "symbolic": "sympy", "into": "out"}.get(kind)
            names = [first] if first else ["g", "y"][2 - leading :]
            names += [("*" if self.variadic else "") + name for name in self.inputs]
            raise PluginError(
                f"op '{self.name}': its {kind} rule takes ({', '.join(names)}), then attributes by keyword"
            )
        keywords = {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}
        if unknown := keywords - self.attributes.keys():
            raise PluginError(
                f"op '{self.name}': its {kind} rule takes '{min(unknown)}', which is no attribute of the op"
            )
        if any(p.kind is p.VAR_KEYWORD for p in parameters) or keywords == self.attributes.keys():
            return rule

        def with_own_attributes(*arguments: Any, **attributes: Any) -> Any:
            return rule(*arguments, **{name: attributes[name] for name in keywords})

        return with_own_attributes


@overload
def op(function: Rule) -> Op: ...
@overload
def op(*, name: str | None = None) -> Callable[[Rule], Op]: ...
def op(function: Rule | None = None, *, name: str | None = None) -> Any:
    """Declare a composite op: the body calls other ops. ``name`` if it is not the function's own."""
    if function is None:
        return lambda body: Op(body, primitive=False, elementwise=False, name=name)
    return Op(function, primitive=False, elementwise=False)


@overload
def primitive(function: Rule) -> Op: ...
@overload
def primitive(
    *,
    name: str | None = None,
    elementwise: bool = False,
    structure: Structure | None = None,
    operation: Operation | typing.Literal["none"] | None = None,
    ufunc: np.ufunc | None = None,
    reduces: np.ufunc | None = None,
    view: ViewKind | None = None,
    shape_only: bool = False,
) -> Callable[[Rule], Op]: ...
def primitive(
    function: Rule | None = None,
    *,
    name: str | None = None,
    elementwise: bool = False,
    structure: Structure | None = None,
    operation: Operation | typing.Literal["none"] | None = None,
    ufunc: np.ufunc | None = None,
    reduces: np.ufunc | None = None,
    view: ViewKind | None = None,
    shape_only: bool = False,
) -> Any:
    """Declare a primitive op: the body is its numpy kernel. ``elementwise`` ops broadcast and need no shape rule.

    ``structure`` is "selection" for an op that only moves or repeats entries, "sum" for one that only adds them up.
    ``operation`` says what it costs, if that is one operation for each entry of the result, such as "multiplications"
    or "functions", or "none"; for anything else there is ``@op.cost``.
    The rest lets plans run it faster. ``ufunc`` is the numpy ufunc that the body calls with all inputs and nothing
    else. ``reduces`` is the ufunc whose reduction over some axes the op is. ``view`` is "always" where the
    body returns a view of its first input, whatever the entries, and "contiguous" where it does so if that input is in
    row-major order. ``shape_only`` is for an op whose result depends on its inputs' shapes and dtypes alone.
    """
    if operation is not None and operation not in (*OPERATIONS, "none"):
        raise PluginError(f"operation={operation!r} is not known; there is {', '.join(OPERATIONS)} and none")

    def declare(body: Rule) -> Op:
        declared = Op(body, primitive=True, elementwise=elementwise, name=name)
        declared.structure = structure
        declared.operation = operation
        declared.ufunc, declared.reduces, declared.view, declared.shape_only = ufunc, reduces, view, shape_only
        return declared

    return declare if function is None else declare(function)


def ops_in(module: ModuleType) -> list[Op]:
    """The ops that a module defines itself, in order, for a plugin's ``register_ops``; each once, whatever else refers
    to it."""
    own = (value for value in vars(module).values() if isinstance(value, Op) and value.module == module.__name__)
    return list(dict.fromkeys(own))


def specs_of(arguments: Sequence[Any]) -> list[TensorSpec | None]:
    """The specs of concrete arguments."""
    arrays = [None if argument is None else np.asarray(argument) for argument in arguments]
    return [None if array is None else TensorSpec(array.shape, array.dtype) for array in arrays]


def _as_operand(argument: Any) -> Any:
    # Plain numbers stay plain, so that they take the dtype of the arrays beside them.
    if argument is None or type(argument) in (int, float, bool):
        return argument
    array = np.asarray(argument)
    if array.dtype.kind not in "fib":
        raise DtypeError(f"an op takes arrays of numbers, not {array.dtype}")
    return array


def _literals(arguments: Sequence[Any]) -> dict[int, Literal]:
    return {i: argument for i, argument in enumerate(arguments) if type(argument) in (int, float, bool)}
