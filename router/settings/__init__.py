"""What an operator can set, declared once.

Nouns: a *setting* is one field of `Settings`; a *kind* says what its value may be; a *source* is a place that gives
values (flags, environment, TOML file, defaults, in this order). Flags, `--help`, the `WARMROUTE_*` variables, the TOML
file and `docs/configuration.md` are all made from one declaration, in `serving.py`, `routing.py` or `fields.py`. What a
version no longer has is in `gone.py`. Only what starts processes, and `router/build/app.py` with the modules that build
for it, reads settings; nothing else reads the environment.
"""

from router.settings.fields import Settings
from router.settings.setting import Secret
from router.settings.sources import SettingsError, load

__all__ = ["Secret", "Settings", "SettingsError", "load"]
