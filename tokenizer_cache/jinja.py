"""Chat templates compiled by transformers, with shortcuts in the sandbox.

Transformers' sandbox checks every attribute access in several layers, which takes most of a rendering's time. The
shortcuts answer the commonest kinds of access exactly as those layers would, and leave all others to them: the text
must stay the same to the byte, and no attribute may become reachable that was not.
"""

from typing import Any, Final

import jinja2
from jinja2.runtime import LoopContext
from jinja2.utils import Namespace

_DICT_ATTRIBUTES: Final = frozenset(dir(dict))
_STR_METHODS: Final = frozenset(
    {"startswith", "endswith", "strip", "lstrip", "rstrip", "split", "rsplit", "splitlines", "partition", "rpartition"}
    | {"replace", "lower", "upper", "title", "capitalize", "find", "rfind", "count", "removeprefix", "removesuffix"}
)
"""Public methods of str that the sandbox lets through as they are (it wraps `format` alone)."""
_PLAIN: Final = frozenset({str, int, float, bool, dict, list, type(None)})
"""Types of values that are data: the sandbox judges attributes that may be code."""


def compiled(source: str) -> jinja2.Template:
    """A template of its own: its environment is not shared with others. Raises jinja2.TemplateError."""
    from transformers.utils.chat_template_utils import _cached_compile_jinja_template  # noqa: PLC0415  (seconds)

    template: jinja2.Template = _cached_compile_jinja_template(source)
    environment: Any = template.environment
    sandboxed, undefined = environment.getattr, environment.undefined

    def direct(obj: Any, attribute: str) -> Any:
        kind = type(obj)
        if kind is dict:
            # A missing attribute makes the sandbox look for the key; a key is data, which it does not judge.
            if attribute not in _DICT_ATTRIBUTES:
                return obj[attribute] if attribute in obj else undefined(obj=obj, name=attribute)
        elif kind is str:
            if attribute in _STR_METHODS:
                return getattr(obj, attribute)
        elif (kind is LoopContext or issubclass(kind, Namespace)) and attribute[:1] != "_":
            value = getattr(obj, attribute, None)
            if value is not None and type(value) in _PLAIN:
                return value
        return sandboxed(obj, attribute)

    environment.getattr = direct
    return template
