"""Which columns of a table are those of an input: what ``[data]`` declares, matched with a header."""

from __future__ import annotations

from collections.abc import Collection, Container, Mapping, Sequence

from dataflow.data.readers.opening import none_of, nothing_for
from dataflow.errors import DataError, closest, listed, nearest
from dataflow.limits import advice, hold, memory_left
from dataflow.support.texts import matches, shorten

Columns = Mapping[str, Sequence[str]]
"""The names of the columns of each input."""
Patterns = Mapping[str, str | Sequence[str]]
"""For each input a name, a range ``"p0:p63"`` in the header's order with both ends, a pattern ``"temp_*"`` for the
columns in that order that nothing else of ``[data]`` names, or a list of these."""

_MOST_COMPARED = 10**7


def chosen_columns(
    header: Sequence[str],
    inputs: Sequence[str],
    declared: Patterns,
    strict: bool,
    taken: Collection[str] = (),
    needed: Collection[str] | None = None,
) -> dict[str, list[str]]:
    """The columns of each input in a table with this header: those that are declared, else those called like the input.
    Unless ``strict``, an input whose declared columns all lack is as one without any, but gets no columns that another
    input has by its declaration. Patterns leave out the columns that are ``taken``. A ``DataError`` where there is
    nothing for the inputs that are ``needed``, all unless given."""
    chosen: dict[str, list[str]] = {}
    positions = {column: i for i, column in reversed(list(enumerate(header)))}
    called = {name: _called_like(name, positions) for name in inputs}
    others = [column for name in inputs if name not in declared for column in called[name]]
    choice = _Choice(header, positions, declared, {*taken, *others})
    for name in inputs:
        if name in declared:
            patterns = _listed(declared[name])
            if strict or any(choice.is_there(pattern) for pattern in patterns):
                chosen[name] = choice.columns(name, patterns)
    declared_ones = {column for columns in chosen.values() for column in columns}
    for name in inputs:
        if name not in chosen and called[name] and (name not in declared or declared_ones.isdisjoint(called[name])):
            chosen[name] = called[name]
    sought = [name for name in inputs if needed is None or name in needed] or inputs
    if not chosen.keys() & set(sought):
        columns = [pattern for name in sought for pattern in _listed(declared.get(name, name))]
        raise none_of(columns, header) if declared.keys() & set(sought) else nothing_for(sought, header, "columns")
    return chosen


def named_columns(declared: Patterns, chosen: Columns) -> dict[str, str | Sequence[str]]:
    """What is declared, with the names that its ranges and patterns stood for in the table whose columns were
    ``chosen``."""
    named = dict(declared)
    for name in declared.keys() & chosen.keys():
        there = dict.fromkeys(chosen[name])
        patterns = _listed(declared[name])
        ends = [_ends(pattern, there) for pattern in patterns]
        if any(len(pair) != 1 for pair in ends) and all(
            _is_there(pattern, pair, there) for pattern, pair in zip(patterns, ends, strict=True)
        ):
            named[name] = list(chosen[name])
    return named


# ------------------------------------------------------------------------------------------------ internals


def _called_like(name: str, positions: Collection[str]) -> list[str]:
    """The columns that are called like an input."""
    if name in positions:
        return [name]
    count = next(i for i in range(len(positions) + 1) if f"{name}{i}" not in positions)
    return [f"{name}{i}" for i in range(count)]


def _listed(declared: str | Sequence[str]) -> list[str]:
    return [declared] if isinstance(declared, str) else [str(pattern) for pattern in declared]


def _ends(pattern: str, positions: Container[str]) -> list[str]:
    """The names in a pattern: one, the two ends of a range, or none."""
    if pattern in positions:
        return [pattern]
    parts = [part.strip() for part in pattern.split(":")]
    if len(parts) == 2:
        return parts
    return [] if "*" in pattern else [pattern]


def _is_there(pattern: str, ends: Sequence[str], header: Collection[str]) -> bool:
    if not ends:
        return any(matches(pattern, column) for column in header)
    return all(end in header for end in ends)


class _Choice:
    """The columns of a header that patterns stand for."""

    def __init__(
        self, header: Sequence[str], positions: Mapping[str, int], declared: Patterns, taken: set[str]
    ) -> None:
        self._header, self._positions = header, positions
        self._declared, self._taken = declared, taken
        self._found: dict[str, list[str]] | None = None

    def is_there(self, pattern: str) -> bool:
        """Whether any column is there that a pattern names."""
        ends = _ends(pattern, self._positions)
        return any(end in self._positions for end in ends) if ends else bool(self._matching(pattern))

    def columns(self, name: str, patterns: Sequence[str]) -> list[str]:
        """The columns of an input, in order. A ``DataError`` where one lacks."""
        columns: list[str] = []
        self._check_names(patterns)
        for pattern in patterns:
            more = self._of_pattern(pattern)
            if len(columns) + len(more) > (most := memory_left() // 64):  # the list alone would fill the memory
                raise DataError(
                    f"more than {most} columns are listed for input '{name}'" + advice("memory", 2 * 64 * most)
                )
            columns += more
        hold(64 * len(columns), name)
        return columns

    def _check_names(self, patterns: Sequence[str]) -> None:
        """A ``DataError`` where several of the columns that are named lack."""
        ends = [_ends(pattern, self._positions) for pattern in patterns]
        lacking = [pair[0] for pair in ends if len(pair) == 1 and pair[0] not in self._positions]
        if len(lacking) > 1:
            meant = [name for column in lacking[:12] for name in closest(column, self._header)[:1]]
            found = meant if len(meant) == len(lacking) else self._header
            names, there = (listed([shorten(name) for name in those], 12) for those in (lacking, found))
            offered = f"did you mean {there}?" if found is meant else f"available: {there}"
            raise DataError(f"unknown columns {names}; {offered}")

    def _of_pattern(self, pattern: str) -> Sequence[str]:
        ends = _ends(pattern, self._positions)
        if not ends:
            if not (columns := self._matching(pattern)):
                raise DataError(f"no column matches '{shorten(pattern)}'{nearest(pattern.strip('*'), self._header)}")
            return columns
        for end in ends:
            if end not in self._positions:
                raise DataError(f"unknown column '{shorten(end)}'{nearest(end, self._header)}")
        first, last = self._positions[ends[0]], self._positions[ends[-1]]
        if first > last:
            raise DataError(f"the range '{':'.join(ends)}' runs backwards: '{ends[1]}' stands before '{ends[0]}'")
        return self._header[first : last + 1]

    def _matching(self, pattern: str) -> list[str]:
        """The columns that a pattern with ``*`` stands for."""
        if self._found is None:
            self._found = self._match_all()
        return self._found.get(pattern, [])

    def _match_all(self) -> dict[str, list[str]]:
        """By pattern, its columns. What is named, or lies in a range, belongs to whoever says so; what two patterns
        match, to each."""
        patterns, named = [], set(self._taken)
        for declared in self._declared.values():
            for pattern in _listed(declared):
                ends = _ends(pattern, self._positions)
                if not ends:
                    patterns.append(pattern)
                elif all(end in self._positions for end in ends):
                    first, last = self._positions[ends[0]], self._positions[ends[-1]]
                    named.update(self._header[first : last + 1])
        if len(patterns) * len(self._header) > _MOST_COMPARED:
            raise DataError(f"{len(patterns)} patterns for {len(self._header)} columns are too many; name the columns")
        free = [column for column in self._header if column not in named]
        return {pattern: [column for column in free if matches(pattern, column)] for pattern in patterns}
