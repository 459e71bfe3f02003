"""Loading the config: defaults, paths, and every fault at once with its line."""

from pathlib import Path
from typing import Any

import pytest
from pydantic.fields import FieldInfo

from bot.config.loading import InvalidConfig, find_config, load_config, passed_over_config
from bot.config.replaced_keys import REPLACED_KEYS
from bot.config.schema import Config, config_model, replaced_platform_keys
from bot.platforms import load_platforms
from models.defaults import DEFAULT_CHAT, DEFAULT_EMBEDDING
from models.recommended_embedders import find_embedder
from models.weights_sources import HubSource, PathSource


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.yaml"


def faults(file: Path, text: str) -> list[str]:
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidConfig) as caught:
        load_config(file)
    return [line.removeprefix(f"{file}:") for line in caught.value.fault_lines()]


def test_without_a_file_the_small_models_are_used_and_nothing_is_searched() -> None:
    config = load_config(None)
    assert config.weights.chat == DEFAULT_CHAT
    assert config.embedding_weights == DEFAULT_EMBEDDING
    assert config.knowledge.collections == {}
    assert config.data_folder == Path("~/.local/share/hearth").expanduser()


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n", "{}"])
def test_an_empty_file_is_the_defaults(file: Path, text: str) -> None:
    file.write_text(text)
    assert load_config(file) == load_config(None)


def test_relative_paths_start_at_the_file_and_the_tilde_is_the_home(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    file.write_text(
        """
data_folder: data
cache_folder: ~/models
weights: {chat: {source: path, path: ../big.gguf}}
knowledge:
  collections:
    handbook: {folder: documents}
    absolute: {folder: /srv/documents}
"""
    )
    config = load_config(file)
    assert config.data_folder == file.parent / "data"
    assert config.model_cache_folder == Path("/home/somebody/models")
    assert config.weights.chat == PathSource(path=file.parent.parent / "big.gguf")
    assert config.knowledge.collections["handbook"].folder == file.parent / "documents"
    assert config.knowledge.collections["absolute"].folder == Path("/srv/documents")


def test_the_cache_folder_comes_from_the_environment_unless_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEARTH_CACHE", "/var/cache/models")
    assert Config().model_cache_folder == Path("/var/cache/models")
    assert Config(cache_folder=Path("/elsewhere")).model_cache_folder == Path("/elsewhere")


def test_another_embedder_does_not_get_the_default_ones_files(file: Path) -> None:
    file.write_text("knowledge: {embedding: {model: BAAI/bge-large-en-v1.5}}")
    assert load_config(file).embedding_weights == ()
    file.write_text("knowledge: {embedding: {model: BAAI/bge-m3}}")
    known = find_embedder("bge-m3")
    assert known is not None
    assert load_config(file).embedding_weights == known.sources
    file.write_text("knowledge: {embedding: {kind: hashing}}")
    assert load_config(file).embedding_weights == ()


def test_a_rerankers_files_count_only_where_it_runs_here(file: Path) -> None:
    weights = "weights: {reranking: [{source: path, path: /srv/rerank/model.onnx}]}\n"
    file.write_text(f"{weights}knowledge: {{reranking: {{kind: fastembed}}}}")
    assert load_config(file).reranking_weights == (PathSource(path=Path("/srv/rerank/model.onnx")),)
    file.write_text(f"{weights}knowledge: {{reranking: {{kind: server, url: 'http://gpu.lan/v1/rerank'}}}}")
    assert load_config(file).reranking_weights == ()


def test_a_rerankers_key_in_the_place_of_its_variable_is_refused_and_never_shown(file: Path) -> None:
    file.write_text("knowledge: {reranking: {kind: server, url: 'http://gpu.lan/v1/rerank', api_key_env: sk-s3cret}}")
    with pytest.raises(InvalidConfig) as refused:
        load_config(file)
    assert "s3cret" not in "".join(refused.value.fault_lines())


def test_a_password_in_a_rerank_servers_address_is_refused_and_never_shown(file: Path) -> None:
    file.write_text("knowledge: {reranking: {kind: server, url: 'http://me:s3cret@gpu.lan/v1/rerank'}}")
    with pytest.raises(InvalidConfig) as refused:
        load_config(file)
    told = "".join(refused.value.fault_lines())
    assert "user name and password" in told
    assert "s3cret" not in told


def test_weights_from_a_hub_are_read(file: Path) -> None:
    file.write_text("weights:\n  chat: {source: hf, repository: someone/model-GGUF, file: model.Q4_K_M.gguf}\n")
    assert load_config(file).weights.chat == HubSource(repository="someone/model-GGUF", file="model.Q4_K_M.gguf")


def test_all_faults_come_at_once_each_with_its_path_and_line(file: Path) -> None:
    text = """
core:
  prompt_passages: many
knowledge:
  collections:
    handbook:
      foldr: documents
http:
  port: 99999
log_level: loud
"""
    lines = faults(file, text)
    assert lines == [
        "3: core.prompt_passages: must be a whole number, not 'many'.",
        "6: knowledge.collections.handbook.folder: is missing.",
        "7: knowledge.collections.handbook.foldr: is not a key that Hearth knows; did you mean `folder`?",
        "9: http.port: must be at most 65535, not 99999.",
        "10: log_level: must be 'debug', 'info', 'warning' or 'error', not 'loud'.",
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("htp: {}", "1: htp: is not a key that Hearth knows; did you mean `http`?"),
        ("core:\n  pause_s: 10", "2: core.pause_s: is now called `core.flood_pause_s`."),
        ("discord: {reply_chain: 2}", "1: discord.reply_chain: is now called `discord.reply_chain_limit`."),
        (
            "discord: {reply_chan_limit: 2}",
            "1: discord.reply_chan_limit: is not a key that Hearth knows; did you mean `reply_chain_limit`?",
        ),
        ("knowledge: {passages: 6}", "1: knowledge.passages: is now called `core.prompt_passages`."),
        (
            "weights:\n  chat: {source: path, path: a.gguf, sha265: x}",
            "2: weights.chat.sha265: is not a key that Hearth knows; did you mean `sha256`?",
        ),
        (
            "weights:\n  embedding:\n    - {source: path, path: a.onnx}\n    - source: hf\n      repository: a/b\n",
            "4: weights.embedding[1].file: is missing.",
        ),
        (
            "http: {tls: true}",
            "1: http.tls: is not a key that Hearth knows; known here: allowed_hosts, enabled, host, openai, port.",
        ),
        (
            "http:\n  port: 1\n  host: 127.0.0.1\n  port: 2",
            "4: http.port: is here twice; the first is in line 2.",
        ),
        ("http:\n  host: example.org", "2: http.host: must be an IP address, such as 127.0.0.1 or 0.0.0.0"),
        ("core:\n  language: no", "2: core.language: must be 'auto', 'en' or 'fr', not false."),
        (
            "knowledge:\n  collections:\n    My Docs: {folder: x}",
            "3: knowledge.collections.My Docs: a name is made of small letters, digits, - and _, and begins with a"
            " letter; did you mean `my-docs`?",
        ),
        (
            "knowledge: {collections: {a: {folder: x, readers: console}}}",
            "1: knowledge.collections.a.readers: must be a list: write each entry on a line of its own after `- `,"
            " or all of them as [a, b], not 'console'.",
        ),
        (
            "model: {llama: {threads: many}}",
            "1: model.llama.threads: must be 'auto' or a whole number, not 'many'.",
        ),
        ("core: {name: ''}", "1: core.name: must not be empty, not ''."),
        ("data_folder: ~", "1: data_folder: is empty: write a value, or leave the key out."),
        ("data_folder: ''", "1: data_folder: is empty: write a path, or leave the key out"),
        ("knowledge: {collections: {a: {folder: ''}}}", "1: knowledge.collections.a.folder: is empty: "),
        ("knowledge: {collections: [a]}", "1: knowledge.collections: must be lines of `key: value` below this key."),
        ("matrix: {admin_users: '@a:b'}", "1: matrix.admin_users: must be a list: "),
        ("discord: {enabled: maybe}", "1: discord.enabled: must be true or false, not 'maybe'."),
        (
            "knowledge: {collections: {a: {folder: x, exclude: [../secret]}}}",
            "1: knowledge.collections.a.exclude[0]: `../secret` matches nothing: a pattern names files below",
        ),
        (
            "knowledge: {collections: {a: {folder: x, readers: [evryone]}}}",
            "1: knowledge.collections.a.readers[0]: `evryone` matches nobody; did you mean `everyone`?",
        ),
        (
            "core: {people: {block: ['@eve:example.org']}}",
            "1: core.people.block[0]: `@eve:example.org` matches nobody; did you mean `matrix:@eve:example.org`?",
        ),
        (
            "matrix: {admin_users: ['ana:example.org']}",
            "1: matrix.admin_users[0]: must be a user's id, such as @ana:example.org; did you mean @ana:example.org?",
        ),
        ("matrix: {users: {allow: [ana]}}", "1: matrix.users: `ana` matches nobody: write a user's id, "),
        ("matrix: {rooms: {block: ['#room:x']}}", "1: matrix.rooms: `#room:x` matches no room: "),
        ("matrix: {servers: {allow: ['@ana:x']}}", "1: matrix.servers: `@ana:x` matches no server: "),
        ("matrix: {admin_rooms: ['#room:x']}", "1: matrix.admin_rooms[0]: must be a room's id, "),
        ("weights:\n  chat: {path: x}", "2: weights.chat: needs the key `source`."),
        ("- a\n- b", "1: The file must be "),
        ("core: [1]", "1: core: must be lines of `key: value` below this key."),
        ("core:\n  name: 'x\n", "3: The file is not valid YAML: "),
        ("core:\n\tname: x", "2: The file is not valid YAML: "),
        ("a: &a [*a]", " The file is not valid YAML: an alias contains itself."),
        ("a: !!python/object:os.system x", "1: The file is not valid YAML: "),
    ],
)
def test_each_kind_of_fault_is_told_in_one_line(file: Path, text: str, line: str) -> None:
    told = faults(file, text)
    assert any(each.startswith(line) for each in told), told


def test_a_secret_in_the_place_of_a_variables_name_is_refused_and_never_shown(file: Path) -> None:
    lines = faults(file, "weights:\n  chat:\n    source: path\n    token_env: hunter2-is-secret\n")
    assert any("4: weights.chat.token_env: must be the name of an environment variable" in line for line in lines)
    assert "hunter2" not in str(lines)


@pytest.mark.parametrize("secret", ["sk-live-abc123", "[sk-live-abc123]", "{a: sk-live-abc123}", "12345678", "~"])
def test_a_secret_in_the_place_of_an_api_keys_variable_is_refused_and_never_shown(file: Path, secret: str) -> None:
    lines = faults(file, f"http:\n  openai:\n    enabled: true\n    keys:\n      editor: {secret}\n")
    sentence = "must be the name of an environment variable that holds the key, not the key itself."
    assert lines == [f"5: http.openai.keys.editor: {sentence}"]


def test_words_that_yaml_takes_for_yes_and_no_may_be_names(file: Path) -> None:
    file.write_text("knowledge:\n  collections:\n    no: {folder: norsk}\n    on: {folder: ontario}\n")
    assert list(load_config(file).knowledge.collections) == ["no", "on"]


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", None])
def test_a_file_that_cannot_be_read_is_one_fault(file: Path, content: bytes | None) -> None:
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InvalidConfig) as caught:
        load_config(file)
    assert len(caught.value.fault_lines()) == 1
    assert str(file) in caught.value.fault_lines()[0]


def test_the_named_file_comes_before_the_environments_and_the_usual_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    usual = tmp_path / "home/.config/hearth/config.yaml"
    assert find_config(None, {}) is None
    usual.parent.mkdir(parents=True)
    usual.touch()
    assert find_config(None, {}) == usual
    Path("config.yaml").touch()
    assert find_config(None, {}) == Path("config.yaml")
    assert find_config(None, {"HEARTH_CONFIG": "/etc/hearth.yaml"}) == Path("/etc/hearth.yaml")
    assert find_config(Path("other.yaml"), {"HEARTH_CONFIG": "/etc/hearth.yaml"}) == Path("other.yaml")


@pytest.mark.parametrize(
    ("text", "is_taken"),
    [
        ("services: {web: {image: nginx}}\nversion: 3\n", False),
        ("theme: dark\n", False),
        ("core: {name: House}\n", True),
        ("knowlege: {}\n", True),
        ("", True),
        ("core: {name: 'x\n", True),
    ],
)
def test_a_config_of_another_program_is_passed_over_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, is_taken: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    Path("config.yaml").write_text(text)
    assert (find_config(None, {}) == Path("config.yaml")) is is_taken
    assert (passed_over_config(None, {}) is None) is is_taken
    assert find_config(Path("config.yaml"), {}) == Path("config.yaml")
    assert passed_over_config(Path("config.yaml"), {}) is None


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home(path: str) -> str:
        return path

    # As in a container whose user id is in no list of users: `Path.expanduser` finds that nothing was expanded.
    monkeypatch.setattr("os.path.expanduser", no_home)


@pytest.mark.usefixtures("homeless")
def test_a_user_without_a_home_folder_is_told_the_way_out(file: Path) -> None:
    with pytest.raises(InvalidConfig, match=r"this user has none\. Set HOME"):
        load_config(None)
    file.write_text("core: {name: House}\n")
    with pytest.raises(InvalidConfig, match=r"this user has none\. Set HOME"):
        load_config(file)
    file.write_text("data_folder: data\ncache_folder: cache\n")
    assert load_config(file).data_folder == file.parent / "data"


@pytest.mark.usefixtures("homeless")
def test_without_a_home_folder_no_config_is_looked_for_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_config(None, {}) is None


ALL_REPLACED_KEYS = {**REPLACED_KEYS, **replaced_platform_keys(load_platforms())}


@pytest.mark.parametrize(("old", "new"), ALL_REPLACED_KEYS.items())
def test_every_replaced_key_is_gone_and_the_new_one_exists(old: str, new: str) -> None:
    assert _field(old) is None
    assert _field(new) is not None


def _field(path: str) -> FieldInfo | None:
    """The field of a dotted key in the config's models."""
    model: Any = config_model()
    field = None
    for part in path.split("."):
        field = model.model_fields.get(part)
        if field is None:
            return None
        model = field.annotation
    return field
