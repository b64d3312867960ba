"""From flags, environment and TOML file to checked `Settings`: a nearer source wins over a farther one.

Every error names the setting as its source spells it: `--port`, `WARMROUTE_PORT`, `router.toml: port`. A name that no
setting has is an error too, since a misspelt limit would silently not limit.
"""

import difflib
import logging
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from router.dial.quoting import quoted
from router.settings.conflicts import conflicts
from router.settings.elsewhere import flag_hint
from router.settings.fields import Settings, declared
from router.settings.gone import GONE, warning
from router.settings.setting import Setting, flag_of, variable_of

PREFIX = "WARMROUTE_"
CONFIG = "config"
FOREIGN = re.compile(
    r"WARMROUTE_TEST_.*"  # for the test suite
    r"|WARMROUTE_(.*_)?SERVICE_(HOST|PORT(_.*)?)"  # Kubernetes sets these three for a Service named warmroute
    r"|WARMROUTE_(.*_)?PORT_[0-9]+_(TCP|UDP|SCTP)(_.*)?"
)
SERVICE_LINK = re.compile(r"(tcp|udp|sctp)://.*")

log = logging.getLogger("warmroute")


class SettingsError(Exception):
    """A setting that cannot be used. The text names the setting, where it came from, and what it must be."""

    def __init__(self, origin: str, problem: str) -> None:
        super().__init__(f"{origin}: {problem}")
        self.origin = origin


class Given(NamedTuple):
    """A value as a source gave it, and the setting's name as that source spells it."""

    value: object
    origin: str


Source = Mapping[str, Given]
"""Setting name (or `<name>_file` of a secret) -> what was given."""


def load(
    flags: Mapping[str, object], environ: Mapping[str, str], warn: Callable[[str], None] = log.warning
) -> Settings:
    """The settings of this process. `flags` maps setting names to texts, lists of texts (repeatable flags) or booleans
    (switches). Reads the TOML file that `config` names and the files of keys. `warn` is called once with all given
    settings that no longer exist. Raises SettingsError."""
    given = {name: Given(value, flag_of(name)) for name, value in flags.items()}
    variables = _from_environment(environ)
    sources = [given, variables]
    if config := given.get(CONFIG) or variables.get(CONFIG):
        sources.append(_from_toml(config))
    if gone := warning((name, found.origin) for source in sources for name, found in source.items() if name in GONE):
        warn(gone)
    chosen = {setting.field: found for setting in declared() if (found := _nearest(setting, sources))}
    values: dict[str, Any] = {field: found.value for field, found in chosen.items()}
    settings = Settings(**values)
    for field, problem in conflicts(settings):
        flag = next(setting.flag for setting in declared() if setting.field == field)
        raise SettingsError(chosen[field].origin if field in chosen else flag, problem)
    return settings


def names() -> list[str]:
    """Every name that a flag or a variable may give; the TOML file may give all but its own."""
    return [name for setting in declared() for name in (setting.name, setting.file_name) if name] + [CONFIG]


def _from_environment(environ: Mapping[str, str]) -> dict[str, Given]:
    """An empty variable counts as unset, as compose files produce them."""
    known = {variable_of(name): name for name in names()}
    gone = {variable_of(name): name for name in GONE}
    found = {}
    for variable, value in environ.items():
        if not variable.startswith(PREFIX) or not value or _is_foreign(variable, value):
            continue
        name = known.get(variable) or gone.get(variable)
        if name is None:
            raise SettingsError(variable, unknown(variable, known))
        found[name] = Given(value, variable)
    return found


def _is_foreign(variable: str, value: str) -> bool:
    """Set by something else under our prefix. WARMROUTE_PORT is ours, unless it is a Kubernetes service link."""
    return bool(FOREIGN.fullmatch(variable) or (variable.endswith("_PORT") and SERVICE_LINK.fullmatch(value)))


def _from_toml(config: Given) -> dict[str, Given]:
    path = Path(str(config.value))
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(config.origin, f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise SettingsError(config.origin, f"{path} is not TOML: {error}") from error
    known = [name for name in names() if name != CONFIG]
    for key in table:
        if key not in known and key not in GONE:
            raise SettingsError(f"{path}: {key}", unknown(key, known))
    return {key: Given(value, f"{path}: {key}") for key, value in table.items()}


def unknown(name: str, known: Iterable[str]) -> str:
    """The complaint about a name that no setting has."""
    if hint := flag_hint(name.removeprefix(PREFIX).lower()):
        return f"is no setting; {hint}"
    close = difflib.get_close_matches(name, known, n=1)
    return f"is no setting; did you mean {close[0]}?" if close else "is no setting"


def _nearest(setting: Setting, sources: Iterable[Source]) -> Given | None:
    """The setting as the first source gives it that does, read and checked."""
    for source in sources:
        given = source.get(setting.name)
        file = source.get(setting.file_name)
        if given and file:
            raise SettingsError(file.origin, f"give this or {given.origin}, not both")
        if file:
            given = _open(setting, file)
        if given:
            return Given(_read(setting, given), given.origin)
    return None


def _open(setting: Setting, file: Given) -> Given:
    """The keys in a file: one a line, only one where the setting is one key."""
    try:
        lines = Path(str(file.value)).read_text(encoding="utf-8").split()
    except (OSError, ValueError) as error:
        raise SettingsError(file.origin, f"cannot read the file {quoted(file.value)}") from error
    if not lines or (len(lines) > 1 and not setting.kind.many):
        wanted = "at least one key" if setting.kind.many else "exactly one key"
        raise SettingsError(file.origin, f"the file must hold {wanted}")
    return Given(lines if setting.kind.many else lines[0], file.origin)


def _read(setting: Setting, given: Given) -> object:
    kind = setting.kind
    try:
        if not kind.many:
            return kind.read(given.value)
        values = tuple(kind.read(one) for one in _each(given.value))
        return _as_mapping(values) if kind.mapping else values
    except ValueError as error:
        raise SettingsError(given.origin, str(error)) from None


def _as_mapping(pairs: tuple[Any, ...]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("must not name anything twice")
    return found


def _each(value: object) -> Iterable[object]:
    """The single values of a repeatable setting."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",")]
    if isinstance(value, dict):
        return value.items()
    if isinstance(value, list):
        return value
    raise ValueError("must be a list")
