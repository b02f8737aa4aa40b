"""Encoders against oracles: torch for OpenVINO, torchvision and open_clip themselves for what is loaded through us."""

from __future__ import annotations

import http.server
import os
import pickle
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFilter

from engine.encoders import ENCODERS, NAMED, Geometry, Hub, available, load
from engine.encoders.base import quiet
from engine.encoders.efficientnet_lite0 import timm_name
from engine.encoders.machine import choose_device, cpu_model
from engine.encoders.notes import recall, remember
from engine.encoders.openvino_runtime import keep_converted, openvino_has_bf16, read_converted
from engine.encoders.runtime import at_precision
from engine.encoders.torch_runtime import TorchRuntime
from engine.errors import BadInput, EncoderUnavailable, FingerprintMismatch

LITE = "efficientnet_lite0"


@pytest.fixture(autouse=True)
def no_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("TORCH_HOME", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "caches"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def photo(seed: int, size: tuple[int, int] = (300, 240)) -> Image.Image:
    """Return blobs of colour with soft edges: low frequencies, as photos have."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (7, 9, 3), dtype=np.uint8))
    return coarse.resize(size, Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(1))


def pixels(n: int, geometry: Geometry) -> np.ndarray:
    return np.stack([geometry.apply(photo(seed)) for seed in range(n)])


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = a.astype(np.float64), b.astype(np.float64)
    return (a * b).sum(axis=1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))


def centred(a: np.ndarray) -> np.ndarray:
    """Return `a` less its mean: networks with random weights give all pictures nearly the same vector."""
    return a - a.mean(axis=0)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a cache that holds EfficientNet-Lite0, converted."""
    folder = tmp_path_factory.mktemp("cache")
    lite(folder).encode(pixels(1, Geometry(224, 256)))
    return folder


def lite(cache: Path | None, **options: Any) -> Any:
    return load(LITE, cache=cache, **{"precision": "fp32", "device": "cpu"} | options)


def randomised(module: Any, seed: int = 0) -> Any:
    """Fill every tensor of `module` with numbers that keep its signal alive, normalisation statistics too."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    for name, tensor in module.state_dict().items():
        if name.endswith("running_var"):
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
        elif name.endswith("running_mean"):
            tensor.copy_(torch.randn(tensor.shape, generator=generator) * 0.1)
    return module.eval()


@pytest.fixture(scope="module")
def resnet18(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path, Path]:
    """Return a network with random weights and its two checkpoint files."""
    import torch
    import torchvision
    from safetensors.torch import save_file

    torch.manual_seed(0)
    module = randomised(torchvision.models.resnet18(weights=None))
    folder = tmp_path_factory.mktemp("weights")
    torch.save(module.state_dict(), folder / "r.pth")
    save_file(module.state_dict(), folder / "r.safetensors")
    return module, folder / "r.pth", folder / "r.safetensors"


# --- geometry ---


@pytest.mark.parametrize("size", [(300, 241), (241, 300), (224, 224), (97, 613), (1024, 768), (30, 40)])
@pytest.mark.parametrize(("resize", "mode"), [(256, "bicubic"), (232, "bilinear"), (224, "bicubic")])
def test_geometry_is_resize_then_centre_crop(size: tuple[int, int], resize: int, mode: str) -> None:
    from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize

    image = photo(3, size)
    steps = Compose([Resize(resize, InterpolationMode(mode)), CenterCrop(224)])
    expected = np.asarray(steps(image), np.float64)
    assert np.abs(Geometry(224, resize, mode).apply(image) - expected).mean() < 0.1


def test_squashing_geometry_keeps_the_whole_picture() -> None:
    image = photo(3, (300, 100))
    expected = np.asarray(image.resize((64, 64), Image.Resampling.BICUBIC))
    assert np.array_equal(Geometry(64, 64, squash=True).apply(image), expected)


# --- EfficientNet-Lite0, the network that is always there ---


def test_openvino_computes_what_torch_computes(cache: Path) -> None:
    encoder = lite(cache)
    X = pixels(5, encoder.geometry)
    torch_runtime = TorchRuntime(encoder._built[0], "cpu", "fp32")
    assert encoder.provenance["runtime"] == "openvino"
    assert cosines(encoder.encode(X), torch_runtime.forward(X)).min() >= 0.99999
    assert encoder.encode(X).dtype == np.float32


def test_weights_of_the_package_land_where_timm_has_them() -> None:
    import timm
    import torch

    tensors = torch.load(load(LITE).remote().cached(), weights_only=True)
    ours = [(timm_name(name), tensor.shape) for name, tensor in tensors.items()]
    theirs = timm.create_model("tf_efficientnet_lite0", pretrained=False).state_dict()
    assert len(ours) == 296
    assert ours == [(name, tensor.shape) for name, tensor in theirs.items()]


def test_blobs_of_colour_are_told_apart(cache: Path) -> None:
    encoder = lite(cache)
    vectors = encoder.encode(np.concatenate([pixels(4, encoder.geometry)] * 2))
    scores = np.array([cosines(vectors, np.roll(vectors, shift, axis=0)) for shift in range(8)])
    assert scores[4].min() > 0.99999
    assert scores[1:4].max() < 0.98


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_same_vector_whatever_the_batch(cache: Path, precision: str) -> None:
    encoder = lite(cache, precision=precision)
    X = pixels(17, encoder.geometry)
    alone = np.concatenate([encoder.encode(X[i : i + 1]) for i in range(17)])
    for n in (3, 8, 17):
        together = np.concatenate([encoder.encode(X[i : i + n]) for i in range(0, 17, n)])
        assert cosines(alone, together).min() >= 0.9999
    small = lite(cache, precision=precision, batch_size=2).encode(X)
    assert cosines(alone, small).min() >= 0.9999


def test_no_pictures_give_no_rows(cache: Path) -> None:
    assert lite(cache).encode([]).shape == (0, 1280)


def test_wrong_side_is_refused(cache: Path) -> None:
    with pytest.raises(ValueError, match="224"):
        lite(cache).encode(np.zeros((2, 32, 32, 3), np.uint8))


def test_auto_precision_is_chosen_once(cache: Path) -> None:
    encoder = lite(cache, precision="auto")
    chosen = encoder.provenance["precision"]
    key = f"{encoder.fingerprint} openvino {cpu_model()}"
    assert recall(cache / "probe.json").get(key, chosen) == chosen
    # What was written down is what the next process does, whichever it was; a processor without bf16 has no choice.
    for precision in ("bf16", "fp32") if openvino_has_bf16() else ("fp32",):
        remember(cache / "probe.json", key, precision)
        assert lite(cache, precision="auto").provenance["precision"] == precision


@pytest.mark.parametrize(("speedup", "chosen"), [(1.1, "fp32"), (1.2, "bf16")])
def test_auto_precision_wants_a_real_gain(tmp_path: Path, speedup: float, chosen: str) -> None:
    class Clockwork:
        name, device, threads, batch_size = "torch", "cpu", 1, 1

        def __init__(self, precision: str) -> None:
            self.precision = precision

    def choice(can_bf16: bool) -> str:
        options = {"side": 8, "key": "k", "notes": tmp_path / "probe.json", "can_bf16": can_bf16}
        return at_precision(Clockwork, "auto", speedup=lambda slow, fast, side: speedup, **options).precision

    assert choice(False) == "fp32"
    assert recall(tmp_path / "probe.json") == {}
    assert choice(True) == chosen
    assert recall(tmp_path / "probe.json") == {"k": chosen}


def test_cached_network_needs_no_torch(cache: Path, tmp_path: Path) -> None:
    encoder = lite(cache)
    X = pixels(2, encoder.geometry)
    np.save(tmp_path / "x.npy", X)
    code = f"""
import sys, numpy as np
from pathlib import Path
from engine.encoders import load
from_start = {{"torch", "openvino", "timm", "torchvision", "open_clip"}} & set(sys.modules)
encoder = load("{LITE}", cache=Path(r"{cache}"), fingerprint="{encoder.fingerprint}", precision="fp32", device="cpu")
vectors = encoder.encode(np.load("x.npy"))
assert not from_start and "torch" not in sys.modules
np.save("y.npy", vectors)
"""
    root = str(Path(__file__).parents[2])
    env = os.environ | {"HOME": str(tmp_path / "home"), "PYTHONPATH": root}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert cosines(np.load(tmp_path / "y.npy"), encoder.encode(X)).min() >= 0.99999
    # OpenVINO's telemetry would write into the home folder.
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(("file", "kept"), [("network.xml", 99), ("network.bin", 0), ("network.bin", 99_999)])
def test_damaged_cache_is_made_again(cache: Path, tmp_path: Path, file: str, kept: int) -> None:
    import shutil

    copy = tmp_path / "cache"
    shutil.copytree(cache, copy)
    encoder = lite(copy)
    network = copy / "models" / encoder.fingerprint
    (network / file).write_bytes((network / file).read_bytes()[:kept])
    X = pixels(1, encoder.geometry)
    assert cosines(encoder.encode(X), lite(cache).encode(X)).min() >= 0.99999
    assert (network / "network.bin").stat().st_size > 1_000_000
    assert [path.name for path in network.parent.iterdir()] == [encoder.fingerprint]


def test_torch_runs_where_there_is_no_openvino(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = lite(cache)
    X = pixels(3, expected.geometry)
    monkeypatch.setitem(sys.modules, "openvino", None)
    encoder = lite(cache)
    assert cosines(encoder.encode(X), expected.encode(X)).min() >= 0.99999
    assert encoder.provenance["runtime"] == "torch"
    assert encoder.fingerprint == expected.fingerprint


def test_half_precision_stays_close(cache: Path) -> None:
    encoder = lite(cache)
    X = pixels(4, encoder.geometry)
    assert cosines(encoder.encode(X), lite(cache, precision="bf16").encode(X)).min() >= 0.99
    blueprint = encoder._built[0]
    assert cosines(encoder.encode(X), TorchRuntime(blueprint, "cpu", "bf16").forward(X)).min() >= 0.99


# --- fingerprints ---


def test_fingerprint_is_of_weights_and_geometry(cache: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    module = load(LITE)._built[0].module
    tensors = module.state_dict()
    torch.save({"state_dict": {f"module.{name}": tensor for name, tensor in tensors.items()}}, tmp_path / "a.pth")
    save_file(tensors, tmp_path / "a.safetensors")
    fingerprint = lite(cache).fingerprint
    assert len(fingerprint) == 12 and int(fingerprint, 16) >= 0
    assert load(LITE).fingerprint == fingerprint
    assert load(LITE, weights=tmp_path / "a.pth").fingerprint == fingerprint
    assert load(LITE, weights=tmp_path / "a.safetensors").fingerprint == fingerprint

    tensors["conv_stem.weight"][0, 0, 0, 0] += 1e-3
    torch.save(tensors, tmp_path / "b.pth")
    assert load(LITE, weights=tmp_path / "b.pth").fingerprint != fingerprint
    with pytest.raises(FingerprintMismatch, match=fingerprint):
        load(LITE, weights=tmp_path / "b.pth", fingerprint=fingerprint, cache=cache).encode([])

    card = lite(cache).card
    assert replace(card, geometry=Geometry(224, 257)).fingerprint != fingerprint
    assert replace(card, mean=(0.5, 0.5, 0.4)).fingerprint != fingerprint
    assert replace(card).fingerprint == fingerprint


def test_another_fingerprint_is_refused(cache: Path) -> None:
    encoder = lite(cache, fingerprint="0123456789ab", space="mine")
    with pytest.raises(FingerprintMismatch) as caught:
        encoder.encode(np.zeros((1, 224, 224, 3), np.uint8))
    for word in ("mine", "0123456789ab", lite(cache).fingerprint):
        assert word in caught.value.message


# --- local checkpoints ---


def test_resnet18_from_a_file_is_torchvisions_own(resnet18: tuple[Any, Path, Path]) -> None:
    import torch
    import torchvision

    module, pth, safetensors = resnet18
    trunk = torchvision.models.resnet18(weights=None)
    trunk.load_state_dict(module.state_dict())
    trunk.fc = torch.nn.Identity()
    transforms = torchvision.models.ResNet18_Weights.IMAGENET1K_V1.transforms()
    with torch.inference_mode():
        expected = trunk.eval()(torch.stack([transforms(photo(seed)) for seed in range(6)])).numpy()
    encoder = load("resnet18", weights=pth, precision="fp32", device="cpu")
    found = encoder.encode(pixels(6, encoder.geometry))
    assert found.shape == (6, 512)
    assert cosines(found, expected).min() >= 0.999
    assert cosines(centred(found), centred(expected)).min() >= 0.999
    assert load("resnet18", weights=safetensors).fingerprint == encoder.fingerprint


def test_recipe_makes_the_encoder_again(resnet18: tuple[Any, Path, Path]) -> None:
    encoder = load("resnet18", weights=resnet18[1], space="mine")
    again = load(**encoder.recipe)
    assert (again.fingerprint, again.space) == (encoder.fingerprint, "mine")


@pytest.mark.parametrize("classes", [0, 7])
def test_any_classifier_is_accepted(resnet18: tuple[Any, Path, Path], tmp_path: Path, classes: int) -> None:
    import torch

    module, pth, _ = resnet18
    tensors = {name: tensor for name, tensor in module.state_dict().items() if not name.startswith("fc.")}
    if classes:
        tensors |= {"fc.weight": torch.zeros(classes, 512), "fc.bias": torch.zeros(classes)}
    torch.save(tensors, tmp_path / "w.pth")
    assert load("resnet18", weights=tmp_path / "w.pth").fingerprint == load("resnet18", weights=pth).fingerprint


def test_another_trunk_is_refused(resnet18: tuple[Any, Path, Path], tmp_path: Path) -> None:
    import torch

    tensors = dict(resnet18[0].state_dict())
    cases = {
        r"conv1.weight \(64, 3, 7, 7\) is missing": {k: v for k, v in tensors.items() if k != "conv1.weight"},
        r"conv1.weight \(64, 3, 7, 7\) is \(64, 3, 5, 5\)": tensors | {"conv1.weight": torch.zeros(64, 3, 5, 5)},
        # A deeper network holds all of a shallower one.
        r"layer1.2.conv1.weight \(64, 64, 3, 3\) is not part": tensors
        | {"layer1.2.conv1.weight": torch.zeros(64, 64, 3, 3)},
    }
    for number, (message, content) in enumerate(cases.items()):
        torch.save(content, tmp_path / f"{number}.pth")
        with pytest.raises(BadInput, match=message):
            _ = load("resnet18", weights=tmp_path / f"{number}.pth").fingerprint


class Malice:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.target),)


def test_code_in_a_checkpoint_never_runs(tmp_path: Path) -> None:
    import torch

    target = tmp_path / "ran"
    torch.save({"conv1.weight": Malice(target)}, tmp_path / "a.pth")
    (tmp_path / "b.pt").write_bytes(pickle.dumps(Malice(target)))
    for name in ("a.pth", "b.pt"):
        with pytest.raises(BadInput, match="code"):
            _ = load("resnet18", weights=tmp_path / name).fingerprint
    assert not target.exists()


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors", "w.bin"])
@pytest.mark.parametrize("content", [None, b"", b"hello", b"PK\x03\x04" + bytes(50), bytes(100)])
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, name: str, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput, match=name):
        _ = load("resnet18", weights=tmp_path / name).fingerprint


def test_a_checkpoint_without_tensors_is_refused(tmp_path: Path) -> None:
    import torch

    torch.save({"epoch": 3}, tmp_path / "w.pth")
    with pytest.raises(BadInput, match="no tensors"):
        _ = load("resnet18", weights=tmp_path / "w.pth").fingerprint


# --- the other families ---


@pytest.mark.parametrize("name", ["resnet50", "resnet18", "efficientnet_b0"])
def test_torchvision_files_are_torchvisions(name: str) -> None:
    from torchvision.models import get_model_weights

    encoder: Any = load(name)
    assert encoder.remote().origin == get_model_weights(name)[encoder.tag].url


def test_efficientnet_b0_geometry(tmp_path: Path) -> None:
    import torch
    import torchvision

    torch.save(torchvision.models.efficientnet_b0(weights=None).state_dict(), tmp_path / "w.pth")
    encoder = load("efficientnet_b0", weights=tmp_path / "w.pth")
    assert (encoder.geometry, encoder.dim) == (Geometry(224, 256, "bicubic"), 1280)


def test_timm_network_from_a_file(tmp_path: Path) -> None:
    import timm
    import torch

    torch.manual_seed(0)
    module = randomised(timm.create_model("test_resnet", pretrained=False))
    torch.save(module.state_dict(), tmp_path / "w.pth")
    module.reset_classifier(0)
    config = timm.data.resolve_model_data_config(module)
    transform = timm.data.create_transform(**config, is_training=False)
    with torch.inference_mode():
        expected = module(torch.stack([transform(photo(seed)) for seed in range(4)])).numpy()
    encoder = load("timm:test_resnet", weights=tmp_path / "w.pth", precision="fp32", device="cpu")
    assert (encoder.space, encoder.dim) == ("timm_test_resnet", expected.shape[1])
    found = encoder.encode(pixels(4, encoder.geometry))
    assert cosines(centred(found), centred(expected)).min() >= 0.999


def test_timm_names_are_checked() -> None:
    with pytest.raises(BadInput, match="mobilenetv3_small_050"):
        load("timm:mobilenetv3_smal_050").encode(np.zeros((1, 224, 224, 3), np.uint8))


def test_clip_image_tower_from_a_file(tmp_path: Path) -> None:
    import open_clip
    import torch

    with quiet():
        torch.manual_seed(0)
        whole, _, preprocess = open_clip.create_model_and_transforms("ViT-M-32-alt")
    torch.save({"state_dict": {f"module.{k}": v for k, v in whole.state_dict().items()}}, tmp_path / "w.pt")
    with torch.inference_mode():
        expected = whole.eval().encode_image(torch.stack([preprocess(photo(seed)) for seed in range(4)])).numpy()
    encoder = load("clip:ViT-M-32-alt", weights=tmp_path / "w.pt", precision="fp32", device="cpu")
    assert (encoder.space, encoder.dim) == ("clip_vit_m_32_alt", expected.shape[1])
    found = encoder.encode(pixels(4, encoder.geometry))
    assert encoder.provenance["runtime"] == "openvino"
    assert cosines(centred(found), centred(expected)).min() >= 0.999


def test_clip_default_is_open_clips() -> None:
    import open_clip

    encoder: Any = load("clip")
    release = open_clip.get_pretrained_cfg(encoder.model, encoder.tag)
    assert encoder.space == "clip"
    assert encoder.remote().repo == release["hf_hub"].strip("/")
    assert load("clip:ViT-B-32/openai").architecture == "open_clip/ViT-B-32+quickgelu"
    assert load("clip:ViT-B-32/openai").space == "clip_vit_b_32_openai"
    for spec in ("clip:ViT-B-33/openai", "clip:ViT-B-32/nothing", "clip:ViT-B-32"):
        with pytest.raises(BadInput, match="ViT-B-32"):
            load(spec).remote()


# --- the user's own ---

OWN = """
import numpy as np

class Colour:
    space, dim = "colour", 3
    def encode(self, images):
        return np.stack([image.reshape(-1, 3).mean(axis=0) for image in images])

class Short(Colour):
    def encode(self, images):
        return np.zeros((len(images), 2))

class Unsure(Colour):
    def encode(self, images):
        return np.full((len(images), 3), np.nan)

class Broken(Colour):
    def encode(self, images):
        return 1 / 0

class Needy(Colour):
    def __init__(self, size):
        pass

class Nameless:
    dim = 3

class Loud(Colour):
    space = "My Space"

class Signed(Colour):
    fingerprint = "0123456789ab"
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    (tmp_path / "own_encoders.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield "own_encoders"
    sys.modules.pop("own_encoders", None)


def test_own_class(own: str, tmp_path: Path) -> None:
    encoder = load(f"{own}:Colour")
    images = [np.full((2, 5, 3), 10, np.uint8), np.full((4, 4, 3), 20, np.uint8)]
    assert np.array_equal(encoder.encode(images), np.float32([[10, 10, 10], [20, 20, 20]]))
    assert (encoder.space, encoder.dim, encoder.geometry) == ("colour", 3, None)
    assert load(f"{own}:Colour").fingerprint == encoder.fingerprint != load(f"{own}:Loud", space="x").fingerprint
    assert load(f"{own}:Signed").fingerprint == "0123456789ab"
    assert load(f"{own}:Colour", space="mine").space == "mine"
    with pytest.raises(FingerprintMismatch, match="0123456789ab"):
        load(f"{own}:Colour", fingerprint="0123456789ab").encode(images)
    assert available(f"{own}:Colour").ok


@pytest.mark.parametrize("name", ["Short", "Unsure", "Broken", "Needy", "Nameless", "Missing"])
def test_own_class_that_breaks_the_contract_is_named(own: str, name: str) -> None:
    with pytest.raises(BadInput, match=name):
        load(f"{own}:{name}").encode([np.zeros((2, 2, 3), np.uint8)])


def test_own_class_must_name_a_space(own: str) -> None:
    with pytest.raises(BadInput, match="My Space"):
        _ = load(f"{own}:Loud").space


# --- what the user typed, and what this machine has ---


def test_specs() -> None:
    spaces = {name: load(name).space for name in ENCODERS if name not in NAMED}
    assert spaces == {
        "efficientnet_lite0": "efficientnet_lite0",
        "resnet50": "resnet",
        "resnet18": "resnet18",
        "efficientnet_b0": "efficientnet_b0",
        "clip": "clip",
    }
    assert load("timm:resnet50.a1_in1k").space == "timm_resnet50_a1_in1k"
    assert load("clip:ViT-B-32/laion2b_s34b_b79k").space == "clip"
    assert load("resnet50", space="other").space == "other"


@pytest.mark.parametrize("spec", ["resnet5", "timm", "timm:", "clip:", "resnet50:x", "", "a b", ":", "no/file.pth"])
def test_unknown_spec_lists_the_names(spec: str) -> None:
    with pytest.raises(BadInput) as caught:
        load(spec)
    assert "resnet50" in str(caught.value) and "timm:NAME" in str(caught.value)


@pytest.mark.parametrize("options", [{"precision": "int3"}, {"precision": "fp16", "device": "cpu"}, {"device": "tpu"}])
def test_what_cannot_be_run_on_is_refused(cache: Path, options: dict[str, str]) -> None:
    with pytest.raises(BadInput, match=next(iter(options.values()))):
        lite(cache, **options).encode(np.zeros((1, 224, 224, 3), np.uint8))


def test_a_gpu_that_stays_idle_is_said_aloud() -> None:
    lame = {"visible": lambda: "NVIDIA GPU", "usable": lambda: (None, "torch 9.9 is built without CUDA")}
    assert choose_device("auto", **lame) == ("cpu", "NVIDIA GPU not used: torch 9.9 is built without CUDA")
    assert choose_device("cpu", **lame) == ("cpu", "NVIDIA GPU not used: --device cpu")
    with pytest.raises(EncoderUnavailable, match="without CUDA"):
        choose_device("cuda", **lame)
    good = {"visible": lambda: "NVIDIA GPU", "usable": lambda: ("cuda", "")}
    assert choose_device("auto", **good) == ("cuda", None)
    assert choose_device("cuda:1", **good) == ("cuda:1", None)
    with pytest.raises(EncoderUnavailable, match="mps"):
        choose_device("mps", **good)


def test_note_says_what_it_runs_on(cache: Path) -> None:
    assert lite(cache).note.startswith(f"efficientnet_lite0: OpenVINO fp32 on {cpu_model()}")


def test_first_of_two_conversions_is_kept(cache: Path, tmp_path: Path) -> None:
    model = read_converted(cache / "models" / lite(cache).fingerprint)
    folder = tmp_path / "models" / "f"
    keep_converted(model, folder)
    first = (folder / "network.bin").stat().st_ino
    keep_converted(model, folder)
    assert (folder / "network.bin").stat().st_ino == first
    assert list(folder.parent.iterdir()) == [folder]


def test_missing_weights_say_what_to_type(tmp_path: Path) -> None:
    seen = available("resnet50")
    assert not seen.ok and seen.remedy is not None
    assert "engine embed --encoder resnet50 --weights FILE" in seen.remedy
    with pytest.raises(EncoderUnavailable, match="--weights FILE"):
        load("resnet50").encode(np.zeros((1, 224, 224, 3), np.uint8))
    assert not available("clip").ok
    assert available(LITE).ok
    assert not available("resnet50", weights=tmp_path / "no.pth").ok


def test_weights_in_the_users_cache_are_found(tmp_path: Path, resnet18: tuple[Any, Path, Path]) -> None:
    folder = tmp_path / "caches" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / "resnet18-f37072fd.pth").write_bytes(resnet18[1].read_bytes())
    assert available("resnet18").ok
    assert load("resnet18").fingerprint == load("resnet18", weights=resnet18[1]).fingerprint


class Grumpy(http.server.BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self.send_error(404)

    def log_message(self, *_: object) -> None:
        pass


def test_a_hub_is_reachable_when_it_answers_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = http.server.HTTPServer(("127.0.0.1", 0), Grumpy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    # This one takes the connection and never says a word.
    silent = socket.create_server(("127.0.0.1", 0))
    try:
        good, mute = f"http://127.0.0.1:{server.server_port}", f"http://127.0.0.1:{silent.getsockname()[1]}"
        hub = Hub((good, mute), seconds=1.0)
        assert hub.reachable(good)
        assert not hub.reachable(mute)
        assert not Hub(("http://127.0.0.1:9",)).reachable("http://127.0.0.1:9")
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        assert not hub.reachable(good)
    finally:
        server.shutdown()
        server.server_close()
        silent.close()
