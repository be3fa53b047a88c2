"""Runs a program in structured text (IEC 61131-3), as much of the language as docs/plc.md uses.

It is turned into Python: numbers wrap as UINT and UDINT do, AND, OR and NOT work on bits and on
truth, TON goes by a clock that is passed in. Made to see the documented PLC program work, not to
check its syntax as a compiler would.
"""

import re
from collections.abc import Iterator
from typing import Any

TOKEN = re.compile(
    r"\s*(T#\d+MS|16#[0-9A-F_]+|\d+|[A-Za-z_]\w*|:=|<>|<=|>=|\.\.|[-+*/()=<>\[\],;:.])"
)
_PRECEDENCE = [["OR"], ["AND"], ["=", "<>"], ["<", ">", "<=", ">="], ["+", "-"], ["*", "/", "MOD"]]
_ENDS = {"END_IF", "ELSE", "ELSIF", "END_FOR", "END_WHILE", "END_METHOD", "END_FUNCTION"} | {
    "END_PROGRAM",
    "METHOD",
    "END_FUNCTION_BLOCK",
}


class Wrap(int):
    """An unsigned number of `bits` bits; what is computed with it wraps."""

    bits = 32

    def _of(self, other: Any, value: int) -> "Wrap":
        kind = type(self)
        if isinstance(other, Wrap) and other.bits > kind.bits:
            kind = type(other)
        return kind(value & ((1 << kind.bits) - 1))

    def __add__(self, other: int) -> "Wrap":
        return self._of(other, int(self) + int(other))

    def __sub__(self, other: int) -> "Wrap":
        return self._of(other, int(self) - int(other))

    def __mul__(self, other: int) -> "Wrap":
        return self._of(other, int(self) * int(other))

    def __floordiv__(self, other: int) -> "Wrap":
        return self._of(other, int(self) // int(other))

    def __mod__(self, other: int) -> "Wrap":
        return self._of(other, int(self) % int(other))

    def __and__(self, other: int) -> "Wrap":
        return self._of(other, int(self) & int(other))

    __radd__ = __add__
    __rmul__ = __mul__

    def __rsub__(self, other: int) -> "Wrap":
        return self._of(other, int(other) - int(self))


class U32(Wrap):
    bits = 32


class U16(Wrap):
    bits = 16


class Struct:
    """A STRUCT's value."""

    def __init__(self, fields: dict[str, str]) -> None:
        self._fields = fields
        for name, kind in fields.items():
            object.__setattr__(self, name, START[kind])

    def __setattr__(self, name: str, value: Any) -> None:
        kind = self.__dict__.get("_fields", {}).get(name)
        object.__setattr__(self, name, cast(kind, value) if kind else value)


class Ton:
    """A timer that is on when IN was true for PT milliseconds."""

    def __init__(self, clock: "Clock") -> None:
        self._clock, self._since, self.Q = clock, None, False

    _since: int | None

    def __call__(self, IN: bool, PT: int) -> None:
        if not IN:
            self._since, self.Q = None, False
            return
        self._since = self._clock.ms if self._since is None else self._since
        self.Q = self._clock.ms - self._since >= PT


class RTrig:
    """A rising edge."""

    def __init__(self) -> None:
        self._last, self.Q = False, False

    def __call__(self, CLK: bool) -> None:
        self.Q, self._last = CLK and not self._last, CLK


class Clock:
    ms = 0


START: dict[str, Any] = {"BOOL": False, "UINT": U16(0), "WORD": U16(0), "UDINT": U32(0)}


def cast(kind: str, value: Any) -> Any:
    if kind == "BOOL":
        return bool(value)
    return U32(value & 0xFFFFFFFF) if kind == "UDINT" else U16(value & 0xFFFF)


def program(text: str, clock: Clock) -> dict[str, Any]:
    """The program's names: globals, functions, and its PROGRAM as a callable."""
    source = re.sub(r"//[^\n]*", "", text)
    return _Parser(source, clock).run()


class _Parser:
    def __init__(self, source: str, clock: Clock) -> None:
        self._tokens = TOKEN.findall(source)
        left = TOKEN.sub("", source).strip()
        assert not left, f"not understood: {left[:40]!r}"
        self._at = 0
        self._space: dict[str, Any] = {
            "U16": U16,
            "cast": cast,
            "bit": lambda word, n, on: U16((word & ~(1 << n)) | (bool(on) << n)),
            "UINT_TO_WORD": lambda value: U16(int(value) & 0xFFFF),
            "UDINT_TO_WORD": lambda value: U16(int(value) & 0xFFFF),
            "op_and": lambda a, b: a and b if isinstance(a, bool) else a & b,
        }
        self._clock = clock
        self._structs: dict[str, dict[str, str]] = {}
        self._kinds: dict[str, str] = {}

    # ------------------------------------------------------------------------------- declarations

    def run(self) -> dict[str, Any]:
        while self._at < len(self._tokens):
            word = self._next()
            if word == "VAR_GLOBAL":
                if self._peek() in ("CONSTANT", "RETAIN"):
                    self._next()
                for name, kind, value in self._variables():
                    self._space[name] = self._new(kind) if value is None else value
                    self._kinds[name] = kind
            elif word == "TYPE":
                name = self._next()
                self._expect(":", "STRUCT")
                self._structs[name] = {n: k for n, k, _ in self._variables("END_STRUCT")}
                self._expect("END_TYPE")
            elif word == "FUNCTION":
                name = self._next()
                self._expect(":")
                self._routine(name, self._next(), "END_FUNCTION")
            elif word == "FUNCTION_BLOCK":
                self._block(self._next())
            elif word == "PROGRAM":
                self._routine(self._next(), None, "END_PROGRAM", keeps=True)
            else:
                raise AssertionError(f"unexpected {word}")
        return self._space

    def _variables(self, end: str = "END_VAR") -> Iterator[tuple[str, str, Any]]:
        while self._peek() != end:
            names = [self._next()]
            while self._peek() == ",":
                self._next()
                names.append(self._next())
            self._expect(":")
            kind = self._next()
            if kind == "ARRAY":
                self._expect("[", "0", "..")
                size = int(self._next()) + 1
                self._expect("]", "OF")
                kind = f"{self._next()}*{size}"
            value = None
            if self._peek() == ":=":
                self._next()
                value = cast(kind, self._literal(self._next()))
            self._expect(";")
            for name in names:
                yield name, kind, value
        self._next()

    def _new(self, kind: str) -> Any:
        if "*" in kind:
            of, _, size = kind.partition("*")
            return [self._new(of) for _ in range(int(size))]
        if kind in self._structs:
            return Struct(self._structs[kind])
        if kind == "TON":
            return Ton(self._clock)
        if kind == "R_TRIG":
            return RTrig()
        return START[kind] if kind in START else self._space[kind]()

    def _routine(self, name: str, result: str | None, end: str, *, keeps: bool = False) -> None:
        inputs, locals_ = self._heads()
        body = self._body({**inputs, **locals_}, name if result else None, {end})
        self._next()
        state = {n: self._new(k) for n, k in locals_.items()}
        start = [f"    {n} = {name}_state[{n!r}]" for n in locals_] if keeps else [
            f"    {n} = new({k!r})" for n, k in locals_.items()
        ]  # fmt: skip
        stop = [f"    {name}_state[{n!r}] = {n}" for n in locals_] if keeps else []
        self._define(name, inputs, [*start, *body, *stop], name if result else None)
        self._space[f"{name}_state"] = state

    def _block(self, name: str) -> None:
        _, fields = self._heads()
        methods = {}
        while self._peek() == "METHOD":
            self._next()
            method = self._next()
            inputs, locals_ = self._heads()
            body = self._body({**inputs, **locals_}, None, {"END_METHOD"}, own=set(fields))
            self._next()
            start = [f"    {n} = new({k!r})" for n, k in locals_.items()]
            self._kinds.update({f"self.{n}": k for n, k in fields.items()})
            self._define(f"_{name}_{method}", inputs, [*start, *body], None, own=True)
            methods[method] = self._space[f"_{name}_{method}"]
        self._expect("END_FUNCTION_BLOCK")
        made = {n: self._new(k) for n, k in fields.items()}
        self._space[name] = type(name, (), {**made, **methods})

    def _heads(self) -> tuple[dict[str, str], dict[str, str]]:
        inputs: dict[str, str] = {}
        locals_: dict[str, str] = {}
        while self._peek() in ("VAR", "VAR_INPUT"):
            into = inputs if self._next() == "VAR_INPUT" else locals_
            into.update({name: kind for name, kind, _ in self._variables()})
        return inputs, locals_

    def _define(
        self,
        name: str,
        inputs: dict[str, str],
        lines: list[str],
        result: str | None,
        *,
        own: bool = False,
    ) -> None:
        names = [*(["self"] if own else []), *inputs]
        used = sorted(
            n for n in self._kinds if "." not in n and not isinstance(self._space[n], list)
        )
        code = [f"def {name}({', '.join(names)}):"]
        code += [f"    global {', '.join(used)}"] if used else []
        code += [f"    {n} = cast({k!r}, {n})" for n, k in inputs.items()]
        code += lines
        code += [f"    return {result}_"] if result else []
        self._space["new"] = self._new
        exec("\n".join([*code, "    pass"]) if not lines else "\n".join(code), self._space)

    # --------------------------------------------------------------------------------- statements

    def _body(
        self,
        kinds: dict[str, str],
        result: str | None,
        ends: set[str],
        own: set[str] = frozenset(),  # type: ignore[assignment]
    ) -> list[str]:
        self._local, self._result, self._own = kinds, result, own
        lines = self._block_of("    ")
        assert self._peek() in ends, self._peek()
        return lines

    def _block_of(self, indent: str) -> list[str]:
        lines: list[str] = []
        while self._peek() not in _ENDS:
            lines += self._statement(indent)
        return lines or [f"{indent}pass"]

    def _statement(self, indent: str) -> list[str]:
        word = self._peek()
        if word == ";":
            self._next()
            return []
        if word == "IF":
            lines = []
            key = "if"
            while self._peek() in ("IF", "ELSIF"):
                self._next()
                lines.append(f"{indent}{key} {self._expression()}:")
                self._expect("THEN")
                lines += self._block_of(indent + "    ")
                key = "elif"
            if self._peek() == "ELSE":
                self._next()
                lines += [f"{indent}else:", *self._block_of(indent + "    ")]
            self._expect("END_IF", ";")
            return lines
        if word == "WHILE":
            self._next()
            head = f"{indent}while {self._expression()}:"
            self._expect("DO")
            lines = [head, *self._block_of(indent + "    ")]
            self._expect("END_WHILE", ";")
            return lines
        if word == "FOR":
            self._next()
            name = self._next()
            self._expect(":=")
            first = self._expression()
            self._expect("TO")
            last = self._expression()
            self._expect("DO")
            head = f"{indent}for {name} in map(U16, range({first}, int({last}) + 1)):"
            lines = [head, *self._block_of(indent + "    ")]
            self._expect("END_FOR", ";")
            return lines
        target, kind, bit = self._place()
        if self._peek() == ":=":
            self._next()
            value = self._expression()
            self._expect(";")
            if bit is not None:
                return [f"{indent}{target} = bit({target}, {bit}, {value})"]
            return [f"{indent}{target} = cast({kind!r}, {value})"]
        self._expect(";")
        return [f"{indent}{target}"]

    def _place(self) -> tuple[str, str, str | None]:
        """A variable with its indices and fields (or a call), its type, the bit that is meant."""
        name = self._next()
        known = {*self._local, *self._kinds, *self._space, *self._own, self._result}
        if name not in known:  # a terminal of the machine
            self._kinds[name], self._space[name] = "BOOL", False
        kind = self._local.get(name) or self._kinds.get(name, "")
        text = name
        if name in self._own:
            text, kind = f"self.{name}", self._kinds.get(f"self.{name}", "UINT")
        elif name == self._result:
            text, kind = f"{name}_", "WORD" if name in ("High", "Low") else "BOOL"
        while self._peek() in ("[", ".", "("):
            mark = self._next()
            if mark == "[":
                text += f"[{self._expression()}]"
                self._expect("]")
                kind = kind.partition("*")[0]
            elif mark == "(":
                text += f"({', '.join(self._arguments())})"
                kind = ""
            elif self._peek().isdigit():
                return text, kind, self._next()
            else:
                field = self._next()
                text += f".{field}"
                kind = self._structs.get(kind, {}).get(field, "")
        return text, kind, None

    def _arguments(self) -> Iterator[str]:
        while self._peek() != ")":
            if self._tokens[self._at + 1] == ":=":
                name = self._next()
                self._next()
                yield f"{name}={self._expression()}"
            else:
                yield self._expression()
            if self._peek() == ",":
                self._next()
        self._next()

    # -------------------------------------------------------------------------------- expressions

    def _expression(self, level: int = 0) -> str:
        if level == len(_PRECEDENCE):
            return self._factor()
        left = self._expression(level + 1)
        while self._peek() in _PRECEDENCE[level]:
            word = self._next()
            right = self._expression(level + 1)
            sign = {"=": "==", "<>": "!=", "MOD": "%", "/": "//", "OR": "or"}.get(word, word)
            left = f"op_and({left}, {right})" if word == "AND" else f"({left} {sign} {right})"
        return left

    def _factor(self) -> str:
        word = self._peek()
        if word == "NOT":
            self._next()
            return f"(not {self._factor()})"
        if word == "(":
            self._next()
            inside = self._expression()
            self._expect(")")
            return f"({inside})"
        if word[0].isdigit() or word.startswith("T#") or word in ("TRUE", "FALSE"):
            return repr(self._literal(self._next()))
        text, _, bit = self._place()
        return text if bit is None else f"bool({text} >> {bit} & 1)"

    @staticmethod
    def _literal(word: str) -> Any:
        if word.startswith("16#"):
            return int(word[3:].replace("_", ""), 16)
        if word.startswith("T#"):
            return int(word[2:-2])
        return word == "TRUE" if word in ("TRUE", "FALSE") else int(word)

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _next(self) -> str:
        self._at += 1
        return str(self._tokens[self._at - 1])

    def _expect(self, *words: str) -> None:
        for word in words:
            found = self._next()
            assert found == word, (
                f"{found} where {word} belongs, near {self._tokens[self._at - 6 : self._at + 4]}"
            )
