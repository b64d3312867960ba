"""SGLang's rules: how it turns a request of each API into a call of the chat template."""
