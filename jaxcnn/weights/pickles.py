"""Pickles read as data: a machine that builds numbers, texts and containers, imports nothing and calls nothing.

A pickle is a program for a small machine with a stack. Python's own machine imports whatever a program names and calls
it with whatever the program gives. This one has a table of the names that it knows, each with a function of ours; an
object of any other class becomes a `Record`, and a call of any other function of Python's library is refused.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from typing import IO, Any

from jaxcnn.weights.pickle_names import CONTAINERS, Calls, Record, call, named, with_elements, with_items


def unpickle(
    stream: IO[bytes],
    calls: Calls | None = None,
    build: Callable[[Record], Any] = lambda record: None,
    persistent: Callable[[Any], Any] | None = None,
) -> Any:
    """What one pickle holds; `stream` stands behind it afterwards.

    Args:
      stream: reads no more than it has, whatever it is asked for (a BytesIO, an mmap).
      calls: what the names in a pickle mean, by their full names, beside Python's containers.
      build: what a record with its state is, where it is something that we know; otherwise None.
      persistent: what stands for an object that is kept outside of the pickle, by its key.

    Raises:
      WantsToRunError: the pickle calls what is in no table.
      ValueError, TypeError, IndexError, KeyError, AttributeError, OverflowError: it is damaged.
    """
    known = {**CONTAINERS, **(calls or {})}
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[int, Any] = {}
    copied = 0

    def above_mark() -> list[Any]:
        start = marks.pop()
        items = stack[start:]
        del stack[start:]
        return items

    def called(function: Any, arguments: Any, read: int) -> Any:
        nonlocal copied
        made = call(function, arguments, known)
        copied += sum(len(part) for part in (made, *arguments) if isinstance(part, list | dict | set | tuple | bytes))
        if copied > 4 * read + 1000:  # what a pickle holds is written in it: such calls copy it once
            raise ValueError("it copies a part of itself again and again")
        return made

    argument: Any
    for opcode, argument, position in pickletools.genops(stream):
        match opcode.name:
            case "PROTO" | "FRAME":
                pass
            case "STOP":
                break
            case "MARK":
                marks.append(len(stack))
            case "POP_MARK":
                above_mark()
            case "POP" if marks and marks[-1] == len(stack):
                marks.pop()
            case "POP":
                stack.pop()
            case "DUP":
                stack.append(stack[-1])
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                memo[argument] = stack[-1]
            case "MEMOIZE":
                memo[len(memo)] = stack[-1]
            case "GET" | "BINGET" | "LONG_BINGET":
                value = memo[argument]
                became = value.became if isinstance(value, Record) else None
                stack.append(value if became is None else became)
            case "NONE":
                stack.append(None)
            case "NEWTRUE" | "NEWFALSE":
                stack.append(opcode.name == "NEWTRUE")
            case "EMPTY_DICT" | "EMPTY_LIST" | "EMPTY_SET":
                stack.append({"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_SET": set}[opcode.name]())
            case "EMPTY_TUPLE":
                stack.append(())
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                count = int(opcode.name[-1])
                stack[-count:] = [tuple(_last(stack, count))]
            case "TUPLE":
                stack.append(tuple(above_mark()))
            case "LIST":
                stack.append(above_mark())
            case "DICT":
                stack.append(with_items({}, above_mark()))
            case "FROZENSET":
                stack.append(with_elements(set(), above_mark()))
            case "APPEND":
                element = stack.pop()
                with_elements(stack[-1], [element])
            case "APPENDS" | "ADDITEMS":
                elements = above_mark()
                with_elements(stack[-1], elements)
            case "SETITEM":
                value, key = stack.pop(), stack.pop()
                with_items(stack[-1], [key, value])
            case "SETITEMS":
                items = above_mark()
                with_items(stack[-1], items)
            case "GLOBAL":
                stack.append(named(*argument.split(" ", 1)))
            case "STACK_GLOBAL":
                name, module = stack.pop(), stack.pop()
                stack.append(named(module, name))
            case "REDUCE" | "NEWOBJ":
                arguments, function = stack.pop(), stack.pop()
                stack.append(called(function, arguments, position or 0))
            case "NEWOBJ_EX":
                _, arguments, function = stack.pop(), stack.pop(), stack.pop()
                stack.append(called(function, arguments, position or 0))
            case "INST":
                stack.append(called(named(*argument.split(" ", 1)), above_mark(), position or 0))
            case "OBJ":
                function, *arguments = above_mark()
                stack.append(called(function, arguments, position or 0))
            case "BUILD":
                state, made = stack.pop(), stack.pop()
                if isinstance(made, Record):
                    made.state = state
                    made.became = build(made)
                stack.append(made.became if isinstance(made, Record) and made.became is not None else made)
            case "PERSID" | "BINPERSID":
                if persistent is None:
                    raise ValueError("it has parts outside of itself")
                stack.append(persistent(argument if opcode.name == "PERSID" else stack.pop()))
            case name if argument is not None and not name.startswith("EXT"):
                stack.append(bytes(argument) if isinstance(argument, bytearray) else argument)
            case name:
                raise ValueError(f"its instruction {name} is not read")
    return stack.pop()


def _last(stack: list[Any], count: int) -> list[Any]:
    if len(stack) < count:
        raise IndexError("its stack is empty")
    return stack[-count:]
