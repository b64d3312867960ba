"""A small byte-level BPE tokenizer, trained in a blink, and chat templates of four families with their habits."""

from functools import cache
from typing import Final

import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from tokenizer_cache.tokenizers.tokenizer import Tokenizer

SPECIAL: Final = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|begin_of_text|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eot_id|>",
    "<bos>",
    "<start_of_turn>",
    "<end_of_turn>",
    "<User>",
    "<Assistant>",
    "<outputs_begin>",
    "<output_end>",
    "<outputs_end>",
    "<tool_call>",
    "</tool_call>",
    "<think>",
    "</think>",
)
_TEXT: Final = (
    "the user asks for a file and the tool returns its lines; hello world, read the file and write a test\n",
    'def read(path): return open(path).read()\n{"name": "read", "arguments": {"path": "a.py"}}\n  indent\n\n',
)

CHATML: Final = """\
{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0].role == 'system' %}{{- messages[0].content + '\\n\\n' }}{%- endif %}
    {{- '# Tools' }}
    {%- for tool in tools %}{{- '\\n' }}{{- tool | tojson }}{%- endfor %}
    {{- '<|im_end|>\\n' }}
{%- elif messages[0].role == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- set ns = namespace(searching=true, last_query=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.searching and message.role == 'user' and not (message.content.startswith('<tool_response>')
            and message.content.endswith('</tool_response>')) %}
        {%- set ns.searching = false %}
        {%- set ns.last_query = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.role == 'user' or (message.role == 'system' and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
    {%- elif message.role == 'assistant' %}
        {%- set content = message.content or '' %}
        {%- set thought = message.reasoning_content or '' %}
        {%- if not thought and '</think>' in content %}
            {%- set thought = content.split('</think>')[0].split('<think>')[-1].strip('\\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {%- if loop.index0 > ns.last_query and (loop.last or thought) %}
            {{- '<|im_start|>assistant\\n<think>\\n' + thought.strip('\\n') }}
            {{- '\\n</think>\\n\\n' + content.lstrip('\\n') }}
        {%- else %}
            {{- '<|im_start|>assistant\\n' + content }}
        {%- endif %}
        {%- for call in message.tool_calls or [] %}
            {%- if not loop.first or content %}{{- '\\n' }}{%- endif %}
            {{- '<tool_call>\\n{"name": "' + call.function.name + '", "arguments": ' }}
            {{- call.function.arguments | tojson }}
            {{- '}\\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == 'tool' %}
        {%- if loop.first or messages[loop.index0 - 1].role != 'tool' %}{{- '<|im_start|>user' }}{%- endif %}
        {{- '\\n<tool_response>\\n' + message.content + '\\n</tool_response>' }}
        {%- if loop.last or messages[loop.index0 + 1].role != 'tool' %}{{- '<|im_end|>\\n' }}{%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}
{%- endif %}"""

LLAMA: Final = """\
{{- bos_token }}
{%- for message in messages %}
    {%- if message.tool_calls %}
        {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
        {%- for call in message.tool_calls %}{{- call.function | tojson }}{%- endfor %}
        {{- '<|eot_id|>' }}
    {%- else %}
        {%- set role = 'ipython' if message.role == 'tool' else message.role %}
        {{- '<|start_header_id|>' + role + '<|end_header_id|>\\n\\n' + message.content | trim + '<|eot_id|>' }}
    {%- endif %}
    {%- if loop.first and tools %}
        {{- '<|start_header_id|>system<|end_header_id|>\\n\\n' + (tools | tojson) + '<|eot_id|>' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif %}"""

GEMMA: Final = """\
{{ bos_token }}
{%- if messages[0]['role'] == 'system' -%}
    {%- set lead = messages[0]['content'] + '\\n\\n' -%}{%- set turns = messages[1:] -%}
{%- else -%}
    {%- set lead = '' -%}{%- set turns = messages -%}
{%- endif -%}
{%- for message in turns -%}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}
        {{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}
    {%- endif -%}
    {{ '<start_of_turn>' + ('model' if message['role'] == 'assistant' else message['role']) + '\\n' }}
    {{- (lead if loop.first else '') + message['content'] | trim + '<end_of_turn>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<start_of_turn>model\\n' }}{%- endif -%}"""

DEEPSEEK: Final = """\
{%- set ns = namespace(called=false, in_outputs=false, first_output=true, system='') -%}
{%- for message in messages if message.role == 'system' -%}
    {%- set ns.system = ns.system + message.content -%}
{%- endfor -%}
{{- bos_token + ns.system -}}
{%- for message in messages -%}
    {%- if message.role == 'user' -%}
        {%- set ns.in_outputs = false -%}
        {{- '<User>' + message.content -}}
    {%- elif message.role == 'assistant' and message.tool_calls -%}
        {%- set ns.in_outputs = false -%}
        {%- for call in message.tool_calls -%}
            {{- ('\\n' if ns.called else '<Assistant>') + '<tool_call>' + call.function.name + '\\n' -}}
            {{- call.function.arguments | tojson + '</tool_call>' -}}
            {%- set ns.called = true -%}
        {%- endfor -%}
        {{- '<|endoftext|>' -}}
    {%- elif message.role == 'assistant' -%}
        {{- ('<outputs_end>' if ns.in_outputs else '<Assistant>') + message.content + '<|endoftext|>' -}}
        {%- set ns.in_outputs = false -%}
    {%- elif message.role == 'tool' -%}
        {%- set ns.in_outputs = true -%}
        {{- ('<outputs_begin>' if ns.first_output else '\\n') + message.content + '<output_end>' -}}
        {%- set ns.first_output = false -%}
    {%- endif -%}
{%- endfor -%}
{%- if ns.in_outputs -%}{{- '<outputs_end>' -}}
{%- elif add_generation_prompt -%}{{- '<Assistant>' -}}{%- endif -%}"""

FORGETFUL: Final = """\
{%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\\n' }}
    {{- '(old)' if message.role == 'tool' and loop.revindex > 3 else message.content }}
    {{- '<|im_end|>\\n' }}
{%- endfor %}
{{- messages | length }}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"""
"""No engine's: rewrites old messages and counts them, so that no tail may ever be trusted."""

TEMPLATES: Final = {
    "chatml": CHATML,
    "llama": LLAMA,
    "gemma": GEMMA,
    "deepseek": DEEPSEEK,
    "forgetful": FORGETFUL,
}
BOS: Final = {"llama": "<|begin_of_text|>", "gemma": "<bos>", "deepseek": "<|endoftext|>"}


@cache
def small_raw() -> tokenizers.Tokenizer:
    """About 500 tokens and the special ones of all the families."""
    raw = tokenizers.Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    raw.train_from_iterator(_TEXT, trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, show_progress=False))
    raw.add_special_tokens([tokenizers.AddedToken(token, normalized=False) for token in SPECIAL[:15]])
    raw.add_tokens([tokenizers.AddedToken(token, normalized=False) for token in SPECIAL[15:]])
    return raw


@cache
def small(family: str) -> Tokenizer:
    """The small tokenizer with one family's template."""
    return Tokenizer(small_raw(), TEMPLATES[family], {"bos_token": BOS.get(family, "<|endoftext|>")})
