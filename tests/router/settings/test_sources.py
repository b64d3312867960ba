"""Sources: which one wins, and that every error names the setting where it came from."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from router.settings import Secret, Settings, SettingsError, load

WORKER = {"worker": ["http://a:8000"]}


def load_toml(tmp_path: Path, text: str, flags: Mapping[str, object] = WORKER) -> Settings:
    path = tmp_path / "router.toml"
    path.write_text(text)
    return load({**flags, "config": str(path)}, {})


def test_defaults() -> None:
    assert load(WORKER, {}) == Settings(workers=("http://a:8000",))


def test_nearer_source_wins(tmp_path: Path) -> None:
    path = tmp_path / "router.toml"
    path.write_text("port = 1\nmax_attempts = 1\ntrace_sample = 0.5")
    environ = {"WARMROUTE_CONFIG": str(path), "WARMROUTE_PORT": "2", "WARMROUTE_MAX_ATTEMPTS": "2", "HOME": "/"}
    settings = load({**WORKER, "port": "3"}, environ)
    assert (settings.port, settings.max_attempts, settings.trace_sample) == (3, 2, 0.5)


def test_flag_names_the_file_before_the_environment(tmp_path: Path) -> None:
    assert load_toml(tmp_path, "port = 1").port == 1
    path = tmp_path / "router.toml"
    assert load({**WORKER, "config": str(path)}, {"WARMROUTE_CONFIG": "/absent.toml"}).port == 1


def test_list_of_a_nearer_source_replaces() -> None:
    environ = {"WARMROUTE_WORKER": "http://a, http://b:1/", "WARMROUTE_API_KEY": "x,y"}
    settings = load({"api_key": ["z"]}, environ)
    assert settings.workers == ("http://a", "http://b:1")
    assert settings.api_keys == (Secret("z"),)


def test_every_shape_of_toml_value(tmp_path: Path) -> None:
    settings = load_toml(
        tmp_path,
        """
        worker = ["http://a", "http://b"]
        port = 9
        silence_timeout_s = 3
        max_body_bytes = "1MiB"
        max_buffered_bytes = 2048576
        access_log = false
        [model_tokenizer]
        "org/model" = "off"
        """,
        flags={},
    )
    assert settings == Settings(
        workers=("http://a", "http://b"),
        port=9,
        silence_timeout_s=3.0,
        max_body_bytes=1 << 20,
        max_buffered_bytes=2048576,
        access_log=False,
        model_tokenizers={"org/model": "off"},
    )


def test_mapping_from_flags_and_environment() -> None:
    assert load({**WORKER, "model_tokenizer": ["a=off", "b=x/y"]}, {}).model_tokenizers == {"a": "off", "b": "x/y"}
    assert load(WORKER, {"WARMROUTE_MODEL_TOKENIZER": "a=off,b=x/y"}).model_tokenizers == {"a": "off", "b": "x/y"}


def test_template_arguments_are_json(tmp_path: Path) -> None:
    flags = {**WORKER, "model_template_kwargs": ['m={"a": true, "b": [1]}']}
    assert load(flags, {}).model_template_kwargs == {"m": '{"a": true, "b": [1]}'}
    from_file = load_toml(tmp_path, "[model_template_kwargs]\nm = {a = true}", flags=WORKER)
    assert from_file.model_template_kwargs == {"m": '{"a": true}'}


def test_keys_from_files(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("k1\n")
    two.write_text("k1\n\nk2\n")
    settings = load({**WORKER, "api_key_file": str(two)}, {"WARMROUTE_WORKER_API_KEY_FILE": str(one)})
    assert settings.api_keys == (Secret("k1"), Secret("k2"))
    assert settings.worker_api_key == Secret("k1")


def test_key_from_a_nearer_source_wins_over_a_file(tmp_path: Path) -> None:
    absent = str(tmp_path / "absent")
    assert load({**WORKER, "api_key": ["k"]}, {"WARMROUTE_API_KEY_FILE": absent}).api_keys == (Secret("k"),)


def test_foreign_variables_are_ignored() -> None:
    foreign = {
        "WARMROUTE_PORT": "tcp://10.96.0.7:8080",
        "WARMROUTE_PORT_8080_TCP": "tcp://10.96.0.7:8080",
        "WARMROUTE_PORT_8080_TCP_ADDR": "10.96.0.7",
        "WARMROUTE_SERVICE_HOST": "10.96.0.7",
        "WARMROUTE_SERVICE_PORT": "8080",
        "WARMROUTE_SERVICE_PORT_HTTP": "8080",
        "WARMROUTE_ROUTER_SERVICE_HOST": "10.96.0.7",
        "WARMROUTE_ROUTER_PORT": "tcp://10.96.0.7:8080",
        "WARMROUTE_TEST_DATA": "/data",
        "WARMROUTE_POLICY": "",
    }
    assert load(WORKER, foreign) == load(WORKER, {})


BAD_FLAGS = [
    ("host", ""),
    ("host", "a b"),
    ("port", "x"),
    ("port", ""),
    ("port", "-1"),
    ("port", "65536"),
    ("port", "80.0"),
    ("port", "1_0"),
    ("port", "٣"),
    ("tls_certificate", "/absent.pem"),
    ("tls_key", "/absent.pem"),
    ("drain_timeout_s", "0"),
    ("drain_timeout_s", "1.5"),
    ("silence_timeout_s", "-0.1"),
    ("silence_timeout_s", "nan"),
    ("silence_timeout_s", "inf"),
    ("worker", ["a:8000"]),
    ("worker", ["ftp://a"]),
    ("worker", ["http://"]),
    ("worker", ["http://a:99999"]),
    ("worker", ["http://a:0"]),
    ("worker", ["http://a b"]),
    ("worker", ["http://a/v1"]),
    ("worker", ["http://a/v1/"]),
    ("worker", ["http://a?x=1"]),
    ("worker", ["http://a#x"]),
    ("worker", ["http://user:hush@a"]),
    ("worker", ["http://user:hush@a:99999"]),
    ("worker", ["http://a", "http://a/"]),
    ("worker", []),
    ("worker_api_key", "two words"),
    ("worker_api_key", ""),
    ("worker_api_key", "kéy"),
    ("worker_api_key_file", "/absent"),
    ("drain_delay_s", "1h"),
    ("policy", "fastest"),
    ("policy", ""),
    ("policy", "/nowhere/mine.py:Mine"),
    ("session_header", "x session"),
    ("session_header", "x:y"),
    ("prefill_rate", "0"),
    ("index_max_blocks", "10"),
    ("index_secret", "a\nb"),
    ("index_secret_file", "/"),
    ("default_kv_tokens", "0"),
    ("redis", "cache:6379"),
    ("redis", "http://cache"),
    ("redis", "redis://a..b:6379"),
    ("redis", "redis://[::1"),
    ("worker", "http://a..b:8000"),
    ("worker_dns", f"http://{'x' * 64}:8000"),
    ("dns_server", "a..b:53"),
    ("dns_server", "[::1"),
    ("redis", "redis://:hush@"),
    ("redis", "redis://cache:6379"),
    ("redis_password", "a b"),
    ("redis_prefix", "a{b"),
    ("redis_ttl_s", "1"),
    ("redis_max_memory_bytes", "1KiB"),
    ("redis_timeout_ms", "0"),
    ("tokenizer", ""),
    ("tokenizer", "package:"),
    ("tokenizer", "./absent"),
    ("tokenizer", "a b"),
    ("model_tokenizer", ["off"]),
    ("model_template_kwargs", ["m=[1]"]),
    ("model_template_kwargs", ["m={"]),
    ("model_chat_template", ["m=/no/such/file"]),
    ("model_tokenizer", ["=off"]),
    ("model_tokenizer", ["a="]),
    ("model_tokenizer", ["a=off", "a=auto"]),
    ("encode_threads", "0"),
    ("conversation_cache_bytes", "1KiB"),
    ("conversation_cache_bytes", "lots"),
    ("api_key", ["ok", "not ok"]),
    ("api_key", [""]),
    ("admin_api_key", "\x7f"),
    ("decision_headers", "maybe"),
    ("max_body_bytes", "64MB"),
    ("max_body_bytes", "-1"),
    ("max_body_bytes", "2GiB"),
    ("max_buffered_bytes", "1"),
    ("max_requests_in_flight", "0"),
    ("first_byte_timeout_s", "0"),
    ("first_byte_timeout_s", "1e9"),
    ("silence_timeout_s", ""),
    ("trace_sample", "1.1"),
    ("trace_sample", "10%"),
    ("prefill_rate", "nan"),
    ("host_kv_tokens", "-1"),
    ("queue_timeout_s", "0"),
    ("saturation_wait_s", "-1"),
    ("drain_delay_s", "3601"),
    ("processes", "0"),
    ("max_attempts", "0"),
    ("log_level", "loud"),
    ("access_log", "2"),
]


@pytest.mark.parametrize(("name", "value"), BAD_FLAGS)
def test_bad_value_is_refused_by_its_flag(name: str, value: object) -> None:
    with pytest.raises(SettingsError) as caught:
        load({**WORKER, name: value}, {})
    assert str(caught.value).startswith(f"--{name.replace('_', '-')}: ")
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, value in BAD_FLAGS if value and value != [""]])
def test_bad_value_is_refused_by_its_variable(name: str, value: str | list[str]) -> None:
    variable = f"WARMROUTE_{name.upper()}"
    with pytest.raises(SettingsError) as caught:
        load({}, {"WARMROUTE_WORKER": "http://a", variable: value if isinstance(value, str) else ",".join(value)})
    assert str(caught.value).startswith(f"{variable}: ")
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("port = true", "port"),
        ("port = 80.5", "port"),
        ("port = [80]", "port"),
        ("access_log = 1", "access_log"),
        ('access_log = "maybe"', "access_log"),
        ("host = 1", "host"),
        ("policy = 3", "policy"),
        ("api_key = 12345", "api_key"),
        ("api_key = [1]", "api_key"),
        ("worker = true", "worker"),
        ("worker = {a = 'http://a'}", "worker"),
        ("model_tokenizer = {a = 1}", "model_tokenizer"),
        ("model_tokenizer = {a = ['off']}", "model_tokenizer"),
        ("trace_sample = true", "trace_sample"),
        ("trace_sample = nan", "trace_sample"),
        ("max_body_bytes = 1.5", "max_body_bytes"),
        ("api_key_file = 3", "api_key_file"),
        ("tokenizer = []", "tokenizer"),
        ("encode_threads = 1e3", "encode_threads"),
        ("workers = []", "workers"),
        ("config = 'other.toml'", "config"),
        ("[limits]\nmax_body_bytes = 1", "limits"),
    ],
)
def test_bad_toml_value_is_refused_by_file_and_key(tmp_path: Path, text: str, name: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_toml(tmp_path, text, flags={})
    assert str(caught.value).startswith(f"{tmp_path / 'router.toml'}: {name}: ")


@pytest.mark.parametrize(
    ("flags", "environ", "complaint"),
    [
        ({}, {}, "--worker: name at least one"),
        (WORKER, {"WARMROUTE_PORTS": "1"}, "WARMROUTE_PORTS: is no setting; did you mean WARMROUTE_PORT?"),
        (WORKER, {"WARMROUTE_QQ": "1"}, "WARMROUTE_QQ: is no setting"),
        (WORKER, {"WARMROUTE_PORT": "tcp"}, "WARMROUTE_PORT: must be a whole number"),
        ({**WORKER, "max_body_bytes": "2GiB"}, {}, "--max-body-bytes: must not be more than max_buffered_bytes"),
        (WORKER, {"WARMROUTE_MAX_BUFFERED_BYTES": "1MiB"}, "--max-body-bytes: must not be more"),
        ({**WORKER, "tls_key": __file__}, {}, "--tls-key: tls_certificate and tls_key must be given together"),
        ({**WORKER, "tls_certificate": __file__}, {}, "--tls-certificate: tls_certificate and"),
        ({**WORKER, "api_key": ["k"]}, {"WARMROUTE_ADMIN_API_KEY": "k"}, "WARMROUTE_ADMIN_API_KEY: must not be one"),
        ({**WORKER, "api_key": ["k"], "api_key_file": "f"}, {}, "--api-key-file: give this or --api-key, not both"),
        ({**WORKER, "config": "/absent.toml"}, {}, "--config: cannot read /absent.toml: No such file"),
        ({**WORKER, "config": "/"}, {}, "--config: cannot read /: Is a directory"),
        (WORKER, {"WARMROUTE_CONFIG": "/absent.toml"}, "WARMROUTE_CONFIG: cannot read /absent.toml"),
    ],
)
def test_complaint_names_setting_and_remedy(flags: dict[str, object], environ: dict[str, str], complaint: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(flags, environ)
    assert str(caught.value).startswith(complaint)


@pytest.mark.parametrize("content", [b"port = ", b"port = 1\nport = 2", b"\xff\xfe"])
def test_file_that_is_not_toml(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "router.toml"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=r"^--config: .*router\.toml is not TOML"):
        load({**WORKER, "config": str(path)}, {})


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("api_key", b"", "at least one key"),
        ("api_key", b" \n", "at least one key"),
        ("admin_api_key", b"", "exactly one key"),
        ("admin_api_key", b"hush\nhush2", "exactly one key"),
        ("admin_api_key", b"hush\xff", "cannot read"),
        ("admin_api_key", b"hush\x01", "visible ASCII"),
    ],
)
def test_bad_key_file(tmp_path: Path, name: str, content: bytes, complaint: str) -> None:
    path = tmp_path / "keys"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=complaint) as caught:
        load({**WORKER, f"{name}_file": str(path)}, {})
    assert caught.value.origin == f"--{name.replace('_', '-')}-file"
    assert "hush" not in str(caught.value)
