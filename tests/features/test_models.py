"""Finding and loading models: what is missing is told, nothing is fetched unasked, nothing is made up."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="features need torch")
pytest.importorskip("transformers", reason="features need transformers")

import torch
import transformers

from diffbgm.errors import MissingToolError, OptionError
from diffbgm.features.language import LanguageEncoder
from diffbgm.features.models import check_width, find_model

from .conftest import Folders
from .models import as_pickle, save_bert, save_clip

NAME = "someone/tiny-clip"


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def put_in_cache(hub_cache: Path, folder: Path) -> None:
    """As the hub's library lays a model out."""
    home = hub_cache / f"models--{NAME.replace('/', '--')}"
    shutil.copytree(folder, home / "snapshots" / ("a" * 40))
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text("a" * 40, encoding="utf-8")


@pytest.mark.usefixtures("no_network")
def test_a_folder(tiny: Folders) -> None:
    model = find_model(str(tiny.clip), "visual", pictures=True)
    assert model.source.name == "clip"
    assert len(model.source.sha256) == 64
    assert model.config["model_type"] == "clip"
    assert isinstance(model.load(transformers.AutoModel), transformers.CLIPModel)


@pytest.mark.usefixtures("no_network")
def test_a_name_on_the_hub_is_looked_up_in_the_cache(tiny: Folders, hub_cache: Path) -> None:
    put_in_cache(hub_cache, tiny.clip)
    model = find_model(NAME, "visual", pictures=True)
    assert model.source.name == NAME
    assert model.source.sha256 == find_model(str(tiny.clip), "visual").source.sha256
    assert not model.load(transformers.AutoModel).training


@pytest.mark.usefixtures("no_network")
def test_the_older_form_of_weights(tmp_path: Path) -> None:
    """Loaded without the network too, and as tensors only: no code in a pickle runs."""
    safe = save_bert(tmp_path / "safe", width=16)
    pickled = as_pickle(save_bert(tmp_path / "pickled", width=16))
    rows = [LanguageEncoder(find_model(str(each), "language")).embed(["a dog"]) for each in (safe, pickled)]
    assert (rows[0] == rows[1]).all()
    torch.save({"evil": Evil()}, pickled / "pytorch_model.bin")
    with pytest.raises(MissingToolError, match="pickled cannot be loaded"):
        find_model(str(pickled), "language").load(transformers.AutoModel)
    assert not Evil.ran


class Evil:
    ran = False

    def __reduce__(self) -> tuple[object, ...]:
        return setattr, (Evil, "ran", True)


@pytest.mark.usefixtures("no_network")
def test_what_is_not_in_the_cache_is_told_with_what_to_do(hub_cache: Path) -> None:
    with pytest.raises(MissingToolError) as caught:
        find_model(NAME, "captioner", pictures=True, words=True)
    said = str(caught.value)
    assert said == (
        "someone/tiny-clip: config.json and preprocessor_config.json and tokenizer.json and "
        "model.safetensors missing in the hub's cache; run again with --download, or fetch it with "
        "`hf download someone/tiny-clip --local-dir DIR` and give --captioner DIR"
    )
    assert caught.value.exit_code == 4


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize(
    "file", ["config.json", "preprocessor_config.json", "vocab.txt", "model.safetensors"]
)
def test_each_missing_file_is_named(tiny: Folders, tmp_path: Path, file: str) -> None:
    folder = Path(shutil.copytree(tiny.blip, tmp_path / "blip"))
    (folder / file).unlink()
    said = "tokenizer.json" if file == "vocab.txt" else file
    with pytest.raises(MissingToolError, match=rf"blip: {said} missing; expected the layout of the"):
        find_model(str(folder), "captioner", pictures=True, words=True)


@pytest.mark.usefixtures("no_network")
def test_weights_in_parts(tiny: Folders, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny.clip, tmp_path / "clip"))
    net = transformers.CLIPModel.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    net.save_pretrained(folder, max_shard_size="60KB")
    parts = sorted(folder.glob("model-*.safetensors"))
    assert len(parts) > 1
    loaded = find_model(str(folder), "visual").load(transformers.AutoModel)
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, loaded.state_dict()[name])
    parts[-1].unlink()
    with pytest.raises(MissingToolError, match=r"clip: model\.safetensors missing"):
        find_model(str(folder), "visual")


def test_a_library_that_is_missing(monkeypatch: pytest.MonkeyPatch, tiny: Folders) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingToolError, match=r"torch and transformers: pip install 'diffbgm\[features\]'"):
        find_model(str(tiny.clip), "visual")


@pytest.mark.parametrize("name", ["/no/such/folder", "a/b/c", "", "https://hub/x", "../clip"])
def test_names_that_cannot_be(name: str) -> None:
    with pytest.raises(OptionError, match=r"option visual: .* is neither a folder nor a name such as"):
        find_model(name, "visual")


def test_weights_of_another_network_are_refused(tiny: Folders, tmp_path: Path) -> None:
    """Tensors that a file lacks would be drawn at random, which nobody would notice."""
    folder = Path(shutil.copytree(tiny.clip, tmp_path / "clip"))
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["vision_config"]["num_hidden_layers"] = 2
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(
        MissingToolError, match=r"do not hold all of clip: 1\d tensors are missing, such as vis"
    ):
        find_model(str(folder), "visual").load(transformers.AutoModel)
    config["vision_config"].update(num_hidden_layers=1, intermediate_size=24)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(MissingToolError, match="clip"):
        find_model(str(folder), "visual").load(transformers.AutoModel)


@pytest.mark.parametrize("content", [b"", b"not tensors", b"\xff" * 64])
def test_broken_weights(tiny: Folders, tmp_path: Path, content: bytes) -> None:
    folder = Path(shutil.copytree(tiny.clip, tmp_path / "clip"))
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(MissingToolError, match="clip cannot be loaded") as caught:
        find_model(str(folder), "visual").load(transformers.AutoModel)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"model_type": "nothing known"}'])
def test_broken_configuration(tiny: Folders, tmp_path: Path, content: str) -> None:
    folder = Path(shutil.copytree(tiny.clip, tmp_path / "clip"))
    (folder / "config.json").write_text(content, encoding="utf-8")
    with pytest.raises(MissingToolError, match="clip"):
        find_model(str(folder), "visual").load(transformers.AutoModel)


def test_the_hash_follows_what_the_model_says(tiny: Folders, tmp_path: Path) -> None:
    def digest(folder: Path) -> str:
        return find_model(str(folder), "visual").source.sha256

    folder = Path(shutil.copytree(tiny.clip, tmp_path / "other name"))
    assert digest(folder) == digest(tiny.clip)
    (folder / "README.md").write_text("a card", encoding="utf-8")
    assert digest(folder) == digest(tiny.clip)
    text = (folder / "preprocessor_config.json").read_text(encoding="utf-8")
    (folder / "preprocessor_config.json").write_text(text.replace("32", "48"), encoding="utf-8")
    assert digest(folder) != digest(tiny.clip)
    assert digest(save_clip(tmp_path / "other numbers", seed=1)) != digest(tiny.clip)


def test_widths(tiny: Folders) -> None:
    model = find_model(str(tiny.clip), "visual")
    check_width(model, "visual", 512, 512)
    check_width(model, "visual", 640, None)
    with pytest.raises(OptionError, match=r"option visual: clip gives 640 numbers a row, .* take 512"):
        check_width(model, "visual", 640, 512)


class Hub(BaseHTTPRequestHandler):
    """As much of the hub as a download needs, over the files of `folder`."""

    folder: Path
    asked: list[str]

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.asked.append(self.path)
        files = sorted(path for path in self.folder.iterdir())
        if self.path.startswith(f"/api/models/{NAME}/tree/"):
            self._json(
                [{"type": "file", "path": f.name, "size": f.stat().st_size, "oid": _oid(f)} for f in files]
            )
        elif self.path.startswith(f"/api/models/{NAME}"):
            self._json({"id": NAME, "sha": "b" * 40, "siblings": [{"rfilename": f.name} for f in files]})
        elif self.path.startswith(f"/{NAME}/resolve/"):
            self._file(self.folder / self.path.rsplit("/", 1)[-1])
        else:
            self.send_error(404)

    def _json(self, value: object) -> None:
        self._send(json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _file(self, path: Path) -> None:
        self._send(path.read_bytes(), {"ETag": f'"{_oid(path)}"', "X-Repo-Commit": "b" * 40})

    def _send(self, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(200)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def _oid(path: Path) -> str:
    return hashlib.sha1(path.read_bytes()).hexdigest()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    handler = type("OneHub", (Hub,), {"asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
    monkeypatch.setattr(
        "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE",
        address + "/{repo_id}/resolve/{revision}/{filename}",
    )
    yield handler
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("form", ["model.safetensors", "model-*.safetensors", "pytorch_model.bin"])
def test_a_download_brings_one_form_of_the_weights(
    tmp_path: Path, hub: type[Hub], hub_cache: Path, form: str
) -> None:
    hub.folder = save_clip(tmp_path / "clip")
    if form == "pytorch_model.bin":
        as_pickle(hub.folder)
    elif form == "model-*.safetensors":
        net = transformers.CLIPModel.from_pretrained(hub.folder)
        (hub.folder / "model.safetensors").unlink()
        net.save_pretrained(hub.folder, max_shard_size="60KB")
    else:
        (hub.folder / "pytorch_model.bin").write_bytes(b"the same in another form")
    (hub.folder / "tf_model.h5").write_bytes(b"and in a third one")
    with pytest.raises(MissingToolError, match="run again with --download"):
        find_model(NAME, "visual", pictures=True)
    assert hub.asked == []
    model = find_model(NAME, "visual", pictures=True, download=True)
    weights = {path.name for path in model.folder.iterdir() if path.suffix != ".json"}
    assert weights == {path.name for path in hub.folder.glob(form)}
    model.load(transformers.AutoModel)
    asked = len(hub.asked)
    assert find_model(NAME, "visual", pictures=True, download=True) == model
    assert len(hub.asked) == asked, "what is there is not asked for again"
    assert find_model(NAME, "visual", pictures=True) == model


def test_a_download_that_fails(tmp_path: Path, hub: type[Hub], hub_cache: Path) -> None:
    hub.folder = tmp_path
    with pytest.raises(MissingToolError, match="nobody/nothing: cannot be downloaded") as caught:
        find_model("nobody/nothing", "visual", download=True)
    assert "\n" not in str(caught.value)
