"""The rules of an op, each declared by a decorator and checked when it is declared."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, overload

import numpy as np

from dataflow.errors import PluginError
from dataflow.operations.attributes import Attribute
from dataflow.operations.rule_parameters import RuleParameters, parameters_of
from dataflow.support.arguments import describe

Rule: TypeAlias = Callable[..., Any]


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


class Rules:
    """What an op may declare beside its body. A rule takes the op's inputs, then its attributes by keyword; it need
    take no more of these than it uses."""

    name: str
    inputs: tuple[str, ...]
    """The names of its inputs."""
    variadic: bool
    """Whether it takes any number of inputs."""
    attributes: dict[str, Attribute]
    family: Rules | None
    _outputs: tuple[str, ...] | Rule | None

    def __init__(self) -> None:
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
        self.into_rule: Rule | None = None
        self.kink_rule: Kink | None = None
        self.samples_rule: Callable[[np.random.Generator], Iterable[Sample]] | None = None

    @property
    def has_outputs(self) -> bool:
        """Whether it has several named outputs, each of which is an op: a node's op is one of these."""
        return self._outputs is not None and self.family is None

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
