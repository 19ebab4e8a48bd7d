"""Where in the text of a TOML file a field stands: the line of each key, for messages."""

import bisect
import contextlib
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from qdist.errors import QdistError

KeyPath = tuple[str | int, ...]

BARE_END = ",]}#\r\n"
UNKNOWN_NAME = re.compile(r"No [\w ]+ is called '([^']*)'")
FIRST_NAME = re.compile(r"[^`]*?`(?P<name>[\w.]+)`(?: of node '(?P<node>[^']*)')?(?P<colon>: )?")


def key_lines(text: str) -> dict[KeyPath, int]:
    """The line of every table, key and list entry, by its path, such as `("links", 0, "between", 1)`.

    Reads only as much of TOML as that needs. For a text that is not TOML the answer is what was found before.
    """
    scanner = _Scanner(text)
    # Only for messages: a line less is better than a second error.
    with contextlib.suppress(IndexError, ValueError, RecursionError):
        scanner.document()
    return scanner.lines


def dotted(path: KeyPath) -> str:
    """`links[0].between` for `("links", 0, "between")`."""
    words = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return words.removeprefix(".")


@dataclass(frozen=True)
class Source:
    """The text of a job file and its name, for messages that say where.

    Attributes:
        name: What messages call the file.
        text: The whole file, valid TOML.
        moved: Fields whose values stand elsewhere in the file, and where: those that a sweep sets.
    """

    name: str
    text: str
    moved: Mapping[KeyPath, KeyPath] = field(default_factory=dict)

    @cached_property
    def lines(self) -> dict[KeyPath, int]:
        """See `key_lines`. Read only when something is wrong."""
        lines = key_lines(self.text)
        for place, key in self.moved.items():
            if key in lines:
                for length in range(1, len(place)):
                    lines.setdefault(place[:length], lines[key])
                lines[place] = lines[key]
        return lines

    def line(self, path: KeyPath) -> int | None:
        """The line of a field, or of the nearest table around it that stands in the file."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.lines:
                return self.lines[path[:length]]
        return None

    def error(self, path: KeyPath, sentence: str, line: int | None = None) -> QdistError:
        """``chain.toml, line 12, `links[0].between`: No node is called 'bbo'. Did you mean 'bob'?``"""
        line = line or self.line(path)
        place = [self.name, *([f"line {line}"] if line else []), *([f"`{dotted(path)}`"] if path else [])]
        text = f"{', '.join(place)}: {sentence}"
        # Keys and values may hold what a terminal would obey.
        return QdistError("".join(char if char.isprintable() else "?" for char in text))

    @contextlib.contextmanager
    def blame(self, path: KeyPath) -> Iterator[None]:
        """Name the file, the line and the field in every `QdistError`: the field in `path` that it is about.

        A sentence about a field has the field's name as its first word in backquotes.
        """
        try:
            yield
        except QdistError as error:
            raise self.error(*self._culprit(path, str(error))) from None

    def _culprit(self, path: KeyPath, sentence: str) -> tuple[KeyPath, str]:
        """The field that a sentence is about, and the sentence without that name if it only stands in front."""
        if match := UNKNOWN_NAME.search(sentence):
            return self._where(match[1], path) or path, sentence
        match = FIRST_NAME.match(sentence)
        if match is None:
            return path, sentence
        if match["node"] is not None:
            return self._of_node(match["node"], match["name"]) or path, sentence
        words = tuple(match["name"].split("."))
        for length in range(len(words), 0, -1):
            found = [known for known in self.lines if self._ends(known, path, words[:length])]
            if found:
                is_prefix = match["colon"] and match.start("name") == 1
                return min(found, key=len), sentence[match.end() :] if is_prefix else sentence
        return path, sentence

    def _ends(self, known: KeyPath, path: KeyPath, words: KeyPath) -> bool:
        return known[: len(path)] == path and known[len(path) :][-len(words) :] == words

    def _where(self, word: str, path: KeyPath) -> KeyPath | None:
        """Where a word is a key or a value, at or below `path`."""
        for known in self.lines:
            if known[: len(path)] == path and word in (known[-1], self._value(known)):
                return known
        return None

    def _of_node(self, node: str, field: str) -> KeyPath | None:
        """The field of a node by the node's name."""
        for known in self.lines:
            if known[:1] == ("nodes",) and known[2:] == ("name",) and self._value(known) == node:
                return (*known[:2], field)
        return ("network", field) if ("network",) in self.lines else None

    def _value(self, path: KeyPath) -> Any:
        """What stands at a path; `None` where only a sweep says so."""
        value: Any = self._table
        for part in path:
            known = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
            value = value[part] if part in known else None
        return value

    @cached_property
    def _table(self) -> dict[str, Any]:
        return tomllib.loads(self.text)


class _Scanner:
    """Walks once through the text. `at` is the position, always at or before the end."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.lines: dict[KeyPath, int] = {}
        self._breaks = [i for i, char in enumerate(text) if char == "\n"]
        self._tables_in: dict[KeyPath, int] = {}
        """How many tables each array of tables has so far."""

    def document(self) -> None:
        table: KeyPath = ()
        self._skip_blank()
        while self.at < len(self.text):
            if self.text[self.at] == "[":
                table = self._header()
            else:
                self._pair(table)
            self._skip_blank()

    def _mark(self, path: KeyPath) -> None:
        self.lines.setdefault(path, 1 + bisect.bisect_left(self._breaks, self.at))

    def _header(self) -> KeyPath:
        start = self.at
        is_array = self.text.startswith("[[", self.at)
        self.at += 2 if is_array else 1
        keys = self._keys()
        self.at = self.text.index("]", self.at) + (2 if is_array else 1)
        end, self.at = self.at, start
        path = (*self._resolved(keys[:-1]), keys[-1])
        for length in range(1, len(path) + 1):
            self._mark(path[:length])
        if is_array:
            self._tables_in[path] = self._tables_in.get(path, 0) + 1
        path = self._last_table(path)
        self._mark(path)
        self.at = end
        return path

    def _resolved(self, keys: KeyPath) -> KeyPath:
        path: KeyPath = ()
        for key in keys:
            path = self._last_table((*path, key))
        return path

    def _last_table(self, path: KeyPath) -> KeyPath:
        """`path`, or the table that was added last if it is an array of tables."""
        return (*path, self._tables_in[path] - 1) if path in self._tables_in else path

    def _pair(self, table: KeyPath) -> None:
        start = self.at
        keys = self._keys()
        end, self.at = self.at, start
        for length in range(1, len(keys) + 1):
            self._mark(table + keys[:length])
        self.at = self.text.index("=", end) + 1
        self._skip_spaces()
        self._value(table + keys)

    def _keys(self) -> KeyPath:
        """The parts of a dotted key; leaves the position behind it."""
        keys = []
        while True:
            self._skip_spaces()
            if self.text[self.at] in "\"'":
                start = self.at
                self._string()
                keys.append(tomllib.loads("key = " + self.text[start : self.at])["key"])
            else:
                start = self.at
                while self.text[self.at].isalnum() or self.text[self.at] in "-_":
                    self.at += 1
                keys.append(self.text[start : self.at])
            self._skip_spaces()
            if self.text[self.at] != ".":
                return tuple(keys)
            self.at += 1

    def _value(self, path: KeyPath) -> None:
        char = self.text[self.at]
        if char in "\"'":
            self._string()
        elif char == "[":
            self._list(path)
        elif char == "{":
            self._inline_table(path)
        else:
            start = self.at
            while self.at < len(self.text) and self.text[self.at] not in BARE_END:
                self.at += 1
            if self.at == start:
                raise ValueError("a value is missing")

    def _string(self) -> None:
        quote = self.text[self.at]
        closing = quote * 3 if self.text.startswith(quote * 3, self.at) else quote
        self.at += len(closing)
        while not self.text.startswith(closing, self.at):
            self.at += 2 if quote == '"' and self.text[self.at] == "\\" else 1
            if self.at >= len(self.text):
                raise ValueError("a string has no end")
        self.at += len(closing)
        # Up to two more quotes may belong to the string: """He said "so"""".
        while len(closing) == 3 and self.text.startswith(quote, self.at):
            self.at += 1

    def _list(self, path: KeyPath) -> None:
        self.at += 1
        number = 0
        while True:
            self._skip_blank()
            if self.text[self.at] == "]":
                break
            self._mark((*path, number))
            self._value((*path, number))
            number += 1
            self._skip_blank()
            if self.text[self.at] == ",":
                self.at += 1
        self.at += 1

    def _inline_table(self, path: KeyPath) -> None:
        self.at += 1
        while True:
            self._skip_blank()
            if self.text[self.at] == "}":
                break
            self._pair(path)
            self._skip_blank()
            if self.text[self.at] == ",":
                self.at += 1
        self.at += 1

    def _skip_spaces(self) -> None:
        while self.at < len(self.text) and self.text[self.at] in " \t":
            self.at += 1

    def _skip_blank(self) -> None:
        """Spaces, line ends and comments."""
        while self.at < len(self.text) and self.text[self.at] in " \t\r\n#":
            if self.text[self.at] == "#":
                end = self.text.find("\n", self.at)
                self.at = len(self.text) if end < 0 else end
            else:
                self.at += 1
