"""`docs/configuration.md`, made from the declared settings by `python -m router.settings.page`.

The test of the documentation compares the file with this, so that no setting can go undocumented.
"""

from itertools import groupby

from router.settings.elsewhere import FLAGS, POLICIES
from router.settings.fields import declared
from router.settings.gone import GONE
from router.settings.setting import Setting, flag_of, variable_of

HEAD = """\
# Configuration

<!-- Made from router/settings by `make docs`. Change it there. -->

`warmroute serve` takes every setting from four places; a nearer one wins:

1. a flag: `--max-body-bytes 128MiB`
2. an environment variable: `WARMROUTE_MAX_BODY_BYTES=128MiB`
3. a TOML file, named by `--config` or `WARMROUTE_CONFIG`: `max_body_bytes = "128MiB"`
4. the default

The name is the same in all of them. A value that cannot be used, and a name that no setting has, stop the start with
one line that names the setting and where it came from, and exit code 2.

- A setting that takes **several** values is a flag that can be repeated, a variable with commas, an array in TOML. All
  values come from one place: flags replace the file's list, they do not add to it.
- A **size** is a number of bytes, or has the unit KiB, MiB or GiB.
- A **secret** can be given as a file (`--api-key-file`, `WARMROUTE_API_KEY_FILE`, `api_key_file`). Prefer that: flags
  are visible to other users of the machine. Secrets are never printed or logged.
- An empty variable counts as unset. Variables that Kubernetes makes for a Service named `warmroute`
  (`WARMROUTE_SERVICE_HOST`, `WARMROUTE_PORT=tcp://...`) and those that begin with `WARMROUTE_TEST_` are ignored.

```toml
port = 8080
worker = ["http://10.0.0.1:8000", "http://10.0.0.2:8000"]
api_key_file = "/etc/warmroute/keys"
max_body_bytes = "128MiB"

[model_tokenizer]
"qwen3-32b" = "/models/qwen3-32b"
```
"""

GONE_HEAD = """
## Gone in this version

These are still accepted, as flag, variable and key of the file, and ignored. One warning at the start names those that
were given.
"""

ELSEWHERE_HEAD = """
## Coming from another router

Flags of sglang-router, smg, vllm-router and vLLM's production-stack router, and what they are called here. One that is
given all the same ends `warmroute serve` with this hint.
"""


def page() -> str:
    """The whole page as Markdown."""
    groups = groupby(declared(), key=lambda setting: setting.group)
    return HEAD + "".join(_section(title, list(settings)) for title, settings in groups) + _gone() + _elsewhere()


def _gone() -> str:
    rows = "".join(f"| `{name}` | {instead} |\n" for name, instead in GONE.items())
    return f"{GONE_HEAD}\n| setting | instead |\n|---|---|\n{rows}"


def _elsewhere() -> str:
    flags = "".join(f"| `{flag_of(name)}` | {hint} |\n" for name, hint in FLAGS.items())
    near = "".join(f"| `{name}` | `{here}` |\n" for name, here in POLICIES.items())
    return f"{ELSEWHERE_HEAD}\n| flag | here |\n|---|---|\n{flags}\n| policy | nearest here |\n|---|---|\n{near}"


def _section(title: str, settings: list[Setting]) -> str:
    head = f"\n## {title}\n\n| setting | default | allowed | meaning |\n|---|---|---|---|\n"
    return head + "".join(_row(setting) for setting in settings)


def _row(setting: Setting) -> str:
    default = f"`{setting.default_text}`" if setting.default_text else "unset"
    names = "<br>".join(f"`{name}`" for name in (setting.name, setting.flag, setting.variable))
    return f"| {names} | {default} | {setting.kind.allowed} | {setting.help}{_from_file(setting)} |\n"


def _from_file(setting: Setting) -> str:
    if not setting.file_name:
        return ""
    flag, variable = flag_of(setting.file_name), variable_of(setting.file_name)
    return f" From a file ({setting.file_help}): `{flag}`, `{variable}`."


if __name__ == "__main__":
    print(page(), end="")
