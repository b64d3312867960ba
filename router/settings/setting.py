"""What one setting is: its kind of value, its names, its default and its explanation.

A `Secret` never shows in `repr`, in logs or in an error.
"""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple, TypeVar, cast

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, slots=True)
class Secret:
    """A key that must not be seen: `value` is what is compared or sent, everything else shows stars."""

    value: str = dataclasses.field(repr=False)

    def __str__(self) -> str:
        return "***"


@dataclasses.dataclass(frozen=True, slots=True)
class Kind:
    """What one setting's value may be."""

    read: Callable[[object], object]
    """Turns one text (flag, environment) or TOML value into the value. ValueError says what it must be."""
    allowed: str
    """The allowed values, for the documentation."""
    metavar: str = ""
    """What stands for the value in `--help`; empty for a switch, which takes none."""
    show: Callable[[object], str] = str
    """How a default is written in the documentation."""
    secret: bool = False
    """Never shown, and may be given as a file."""
    many: bool = False
    """Repeatable as a flag; separated by commas in the environment; an array or a table in TOML."""
    mapping: bool = False
    """Of many: each value is a pair, and the setting a mapping."""


class Setting(NamedTuple):
    """How one setting is called, explained and checked."""

    field: str
    """The attribute of `Settings`."""
    name: str
    """The name in TOML; flag and environment variable follow from it."""
    group: str
    default: object
    kind: Kind
    help: str

    @classmethod
    def of(cls, field: "dataclasses.Field[object]") -> "Setting":
        """The setting that `setting` declared as this field."""
        meta = field.metadata
        default = {} if field.default is dataclasses.MISSING else field.default
        return cls(field.name, meta["name"] or field.name, meta["group"], default, meta["kind"], meta["help"])

    @property
    def flag(self) -> str:
        return flag_of(self.name)

    @property
    def variable(self) -> str:
        return variable_of(self.name)

    @property
    def file_name(self) -> str:
        """The name under which a file with the keys is given; empty for what is no secret."""
        return f"{self.name}_file" if self.kind.secret else ""

    @property
    def file_help(self) -> str:
        return "one key a line" if self.kind.many else "one key"

    @property
    def default_text(self) -> str:
        """The default as an operator would write it; empty when there is none."""
        has_none = self.default is None or self.default in ((), "", {})
        return "" if has_none else self.kind.show(self.default)


def flag_of(name: str) -> str:
    return "--" + name.replace("_", "-")


def variable_of(name: str) -> str:
    return "WARMROUTE_" + name.upper()


def setting(group: str, default: T, kind: Kind, help: str, name: str = "") -> T:
    """Declare a field of `Settings`. `name` is given where the field holds many and the name is of one."""
    meta = {"group": group, "kind": kind, "help": help, "name": name}
    if kind.mapping:
        return cast(T, dataclasses.field(default_factory=dict, metadata=meta))
    return dataclasses.field(default=default, metadata=meta)
