"""A machine for the pickles of PyTorch's files: the two dozen steps that they have, and no others.

Python's own reader imports what a pickle names and calls it, and a pickle of two million nested
tuples ends the process. This one imports nothing. It calls what its caller gave it for a name, and
looks inside no value, however deep.

Source: https://docs.python.org/3/library/pickletools.html
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from satsuma.errors import UnsupportedModelError

Names: TypeAlias = Mapping[tuple[str, str], Any]  # (module, name) -> what stands for it
_SHOWN_CHARACTERS: Final = 100


def unpickle(pickled: bytes, names: Names, find_stored: Callable[[Any], Any]) -> Any:
    """Read a pickle.

    Args:
        pickled: the whole of it.
        names: every name that it may have; those that it calls are callables.
        find_stored: gives what a persistent id stands for.

    Raises:
        UnsupportedModelError: if it has another name; its text continues a sentence.
        ValueError: if it is damaged, or has a step that is not known here.
        TypeError: if a step meets a value of another kind than it needs.
        LookupError: if it takes what is not there.
    """
    machine = _Machine(names, find_stored)
    for step, operand, _ in pickletools.genops(pickled):
        if step.name == "STOP":
            break
        machine.take(step.name, operand)
    return machine.pop()


class _Machine:
    """A stack, the marks on it, and what was put aside."""

    def __init__(self, names: Names, find_stored: Callable[[Any], Any]) -> None:
        self._names = names
        self._find_stored = find_stored
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}

    def take(self, name: str, operand: Any) -> None:
        """Do one step."""
        if name in _LITERALS:
            self._stack.append(operand)
        elif name in _CONSTANTS:
            self._stack.append(_CONSTANTS[name]())
        elif name in _STEPS:
            _STEPS[name](self, operand)
        else:
            raise ValueError(f"the step {name}")

    def pop(self) -> Any:
        """Take the uppermost value."""
        return self._stack.pop()

    def skip(self, _operand: Any) -> None:
        """Go on."""

    def mark(self, _operand: Any) -> None:
        """Remember how high the stack is."""
        self._marks.append(len(self._stack))

    def put_aside(self, number: int) -> None:
        """Keep the uppermost value under a number as well."""
        self._memo[number] = self._stack[-1]

    def memoize(self, _operand: Any) -> None:
        """Keep the uppermost value under the next number as well."""
        self._memo[len(self._memo)] = self._stack[-1]

    def fetch(self, number: int) -> None:
        """Push what was put aside."""
        self._stack.append(self._memo[number])

    def make_tuple(self, length: int | None) -> None:
        """Replace the uppermost values, those above the mark if no length is given."""
        values = self._above_mark() if length is None else self._uppermost(length)
        self._stack.append(tuple(values))

    def append(self, _operand: Any) -> None:
        """Put a value into the list below it."""
        value = self.pop()
        _require(self._stack[-1], list).append(value)

    def extend(self, _operand: Any) -> None:
        """Put the values above the mark into the list below it."""
        values = self._above_mark()
        _require(self._stack[-1], list).extend(values)

    def set_item(self, _operand: Any) -> None:
        """Put a key and its value into the dict below them."""
        self._set([self._uppermost(2)])

    def set_items(self, _operand: Any) -> None:
        """Put the pairs above the mark into the dict below it."""
        values = self._above_mark()
        self._set([values[place : place + 2] for place in range(0, len(values), 2)])

    def name(self, operand: str) -> None:
        """Push what stands for a name, given as `module name`."""
        module, _, name = operand.partition(" ")
        self._push_named(module, name)

    def name_from_stack(self, _operand: Any) -> None:
        """Push what stands for a name, given by the two uppermost values."""
        module, name = self._uppermost(2)
        self._push_named(_require(module, str), _require(name, str))

    def call(self, _operand: Any) -> None:
        """Call one of the given callables with a tuple of values."""
        make, values = self._uppermost(2)
        self._stack.append(make(*_require(values, tuple)))

    def find(self, _operand: Any) -> None:
        """Replace a persistent id."""
        self._stack.append(self._find_stored(self.pop()))

    def drop_state(self, _operand: Any) -> None:
        """Leave out an object's attributes; a state dict has its modules' versions there."""
        self.pop()

    def _push_named(self, module: str, name: str) -> None:
        if (module, name) not in self._names:
            shown = f"{module}.{name}"[:_SHOWN_CHARACTERS]
            raise UnsupportedModelError(
                f"names {shown}, which could run code, and is not read. "
                "Ask its author for safetensors."
            )
        self._stack.append(self._names[module, name])

    def _above_mark(self) -> list[Any]:
        return self._uppermost(len(self._stack) - self._marks.pop())

    def _uppermost(self, count: int) -> list[Any]:
        place = len(self._stack) - count
        if count < 0 or place < 0:
            raise IndexError(place)
        values = self._stack[place:]
        del self._stack[place:]
        return values

    def _set(self, pairs: list[list[Any]]) -> None:
        target = _require(self._stack[-1], dict)
        for key, value in pairs:
            if not isinstance(key, str | int):  # to hash another, one would have to look inside
                raise TypeError("a key that is no text")
            target[key] = value


def _require(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"no {kind.__name__} where one is needed")
    return value


_LITERALS: Final = frozenset(
    {"BINUNICODE", "SHORT_BINUNICODE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"}
)
_CONSTANTS: Final[dict[str, Callable[[], Any]]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
}
_STEPS: Final[dict[str, Callable[[_Machine, Any], None]]] = {
    "PROTO": _Machine.skip,
    "FRAME": _Machine.skip,
    "MARK": _Machine.mark,
    "BINPUT": _Machine.put_aside,
    "LONG_BINPUT": _Machine.put_aside,
    "MEMOIZE": _Machine.memoize,
    "BINGET": _Machine.fetch,
    "LONG_BINGET": _Machine.fetch,
    "TUPLE": lambda machine, _: machine.make_tuple(None),
    "TUPLE1": lambda machine, _: machine.make_tuple(1),
    "TUPLE2": lambda machine, _: machine.make_tuple(2),
    "TUPLE3": lambda machine, _: machine.make_tuple(3),
    "APPEND": _Machine.append,
    "APPENDS": _Machine.extend,
    "SETITEM": _Machine.set_item,
    "SETITEMS": _Machine.set_items,
    "GLOBAL": _Machine.name,
    "STACK_GLOBAL": _Machine.name_from_stack,
    "REDUCE": _Machine.call,
    "BINPERSID": _Machine.find,
    "BUILD": _Machine.drop_state,
}
