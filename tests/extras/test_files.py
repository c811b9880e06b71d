"""Model files: round trips, atomic writes, and errors for invalid files."""

import itertools
import json
import struct
from dataclasses import replace

import numpy as np
import pytest

import seedbed as sb
from seedbed import files, layers
from seedbed.tensor_files import digest_of

RNG = np.random.default_rng(0)
X = RNG.normal(size=(20, 3))


def population(**given):
    network = sb.Network(
        3, [sb.Dense(4, sb.leaky_relu(0.2), sb.orthogonal), sb.Dense(3, sb.elu(0.5)), sb.Dense(2)]
    )
    usual = {
        "loss": sb.cross_entropy.smoothed(0.1),
        "optimizer": sb.AdamW(lr=[0.01, 0.02, 0.03], weight_decay=0.1),
        "schedule": sb.step_decay(at=[0.3, 0.6]),
        "l2": (0.0, 0.1, 0.2),
        "clip_norm": 2.0,
        "validation": 0.3,
        "patience": 4,
        "batch_size": 5,
        "epochs": 6,
        "seeds": [4, 5, 2**62],
    }
    return sb.train(network, X, np.arange(20) % 2, **{**usual, **given})


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"validation": None, "patience": None, "dtype": "float64"},
        {"optimizer": sb.SGD(0.1, momentum=0.9, nesterov=True), "schedule": sb.cosine(0.1)},
        {"optimizer": sb.Rprop(), "schedule": sb.constant, "dropout": 0.2},
        {"optimizer": sb.RMSprop(), "schedule": sb.one_cycle()},
        {"loss": sb.binary_cross_entropy.smoothed(0.2), "Y": RNG.uniform(size=(20, 2))},
        {"loss": sb.huber(0.3), "Y": RNG.normal(size=(20, 2)), "schedule": sb.coslog4},
        {"loss": sb.quantile(0.9), "Y": RNG.normal(size=(20, 2))},
    ],
)
def test_round_trip(path, given):
    given = dict(given)
    Y = given.pop("Y", None)
    p = population(**given) if Y is None else population_on(Y, **given)
    sb.save(path, p)
    q = sb.load(path)
    assert q.recipe == p.recipe
    for name in ("theta", "seeds", "status", "epochs", "best_epoch", "loss"):
        np.testing.assert_array_equal(getattr(q, name), getattr(p, name))
        assert getattr(q, name).dtype.kind == getattr(p, name).dtype.kind
    np.testing.assert_array_equal(q.history.train_loss, p.history.train_loss)
    np.testing.assert_array_equal(q.history.epochs, p.history.epochs)
    assert (q.history.val_loss is None) == (p.history.val_loss is None)
    np.testing.assert_array_equal(q.predict(X), p.predict(X))


def test_layers_of_every_kind_come_back(path):
    x = np.column_stack([X, np.arange(20) % 3])
    kinds = [sb.Embedding([3], [3], 2), sb.Periodic(2, 3, phases=True, columns=[0, 2])]
    network = sb.Network(4, [*kinds, sb.Dense(3, sb.tanh, input_scale=2.0), sb.Dense(1)])
    assert {type(layer) for layer in network.layers} == set(layers.BY_NAME.values())
    p = sb.train(network, x, X[:, 0], loss=sb.squared_error, epochs=2, seeds=range(3))
    sb.save(path, p)
    q = sb.load(path)
    assert q.recipe == p.recipe
    np.testing.assert_array_equal(q.predict(x), p.predict(x))


def population_on(Y, **given):
    network = sb.Network(3, [sb.Dense(4, sb.mish), sb.Dense(2)])
    return sb.train(network, X, Y, epochs=2, seeds=range(3), **given)


def test_every_formula_can_be_described():
    layers = [
        sb.Dense(2, unit if isinstance(unit, sb.Activation) else unit(), init, sb.zeros)
        for unit, init in zip(
            files.activations.BY_NAME.values(),
            itertools.cycle(files.initializers.BY_NAME.values()),
            strict=False,
        )
    ]
    network = sb.Network(2, layers)
    for loss in (sb.squared_error, sb.absolute_error, sb.poisson, sb.huber(), sb.quantile(0.1)):
        recipe = sb.Recipe(network=network, loss=loss)
        words = json.loads(json.dumps(files.recipe_to_dict(recipe)))
        assert files.recipe_from_dict(words) == recipe


def test_custom_formulas_are_refused(path):
    class Mine(sb.Activation):
        pass

    custom = sb.Activation("mine", np.sin, lambda z, a: np.cos(z))
    fake = sb.Activation("relu", lambda z: z, lambda z, a: np.ones_like(z))
    for activation in (custom, fake, Mine("relu", sb.relu.f, sb.relu.df)):
        network = sb.Network(3, [sb.Dense(2, activation), sb.Dense(2)])
        p = sb.train(network, X, X[:, :2], loss=sb.squared_error, epochs=1)
        with pytest.raises(sb.FileError, match="not one of Seedbed's own"):
            sb.save(path, p)
    assert not path.exists()


def test_custom_layers_and_optimizers_are_refused(path):
    class Mine(sb.Dense):
        pass

    class SGD(sb.SGD):
        pass

    for layer, optimizer, name in (
        (Mine(2), sb.Adam(), "Mine"), (sb.Dense(2), SGD(0.1), "SGD")
    ):  # fmt: skip
        network = sb.Network(3, [layer, sb.Dense(2)])
        p = sb.train(
            network, X, X[:, :2], loss=sb.squared_error, optimizer=optimizer, epochs=1
        )  # fmt: skip
        with pytest.raises(sb.FileError, match=f"'{name}' is not one of Seedbed's own"):
            sb.save(path, p)
    assert not path.exists()


def test_truncated_file_is_refused(path):
    sb.save(path, population())
    whole = path.read_bytes()
    for length in sorted({0, 1, 7, 8, 9, 100, *range(0, len(whole), 211), len(whole) - 1}):
        path.write_bytes(whole[:length])
        with pytest.raises(sb.FileError) as raised:
            sb.load(path)
        assert "\n" not in str(raised.value)


def test_file_with_a_changed_byte_is_refused(path):
    sb.save(path, population())
    whole = path.read_bytes()
    for place in (*range(0, len(whole), 97), len(whole) - 1):
        changed = bytearray(whole)
        changed[place] ^= 0x11
        path.write_bytes(changed)
        with pytest.raises(sb.FileError) as raised:
            sb.load(path)
        assert "\n" not in str(raised.value)


def edited(path, change):
    """Rewrite the file's metadata."""
    whole = path.read_bytes()
    (length,) = struct.unpack("<Q", whole[:8])
    header = json.loads(whole[8 : 8 + length])
    change(header["__metadata__"])
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + whole[8 + length :])


def signed(change):
    """Edit the model's description and recompute the checksum."""

    def whole_change(metadata, tensors):
        model = json.loads(metadata["model"])
        change(model)
        metadata["model"] = json.dumps(model)
        metadata["sha256"] = digest_of(f"seedbed 1\n{metadata['model']}", tensors)

    return whole_change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m.update(version="2"), "has format 2 and this Seedbed reads up to 1: upgrade"),
        (lambda m: m.update(version="1.5"), "was changed or damaged"),
        (lambda m: m.update(format="other"), "Seedbed did not write it: give a file that"),
        (lambda m: m.pop("sha256"), "was changed or damaged"),
        (lambda m: m.update(model=m["model"].replace("0.02", "0.03")), "was changed or damaged"),
        (lambda m: m.clear(), "Seedbed did not write it: give a file that"),
    ],
)
def test_edited_or_newer_file_is_refused(path, change, words):
    sb.save(path, population())
    edited(path, change)
    with pytest.raises(sb.FileError, match=words):
        sb.load(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m["recipe"]["loss"].update(name="os.system"),
        lambda m: m["recipe"]["optimizer"].update(name="__class__"),
        lambda m: m["recipe"]["optimizer"].update(lr=-1),
        lambda m: m["recipe"]["network"].update(inputs=4),
        lambda m: m["recipe"]["network"]["layers"][0]["activation"].update(slope="x"),
        lambda m: m["recipe"].update(l2=[0.1]),
        lambda m: m["recipe"].update(unknown=1),
        lambda m: m["recipe"].pop("network"),
        lambda m: m.pop("recipe"),
        lambda m: m.update(recipe=None),
        lambda m: m["recipe"].update(network=[]),
    ],
)
def test_file_that_describes_no_model_is_refused(path, change):
    import safetensors

    sb.save(path, population())
    with safetensors.safe_open(path, framework="np") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    edited(path, lambda metadata: signed(change)(metadata, tensors))
    with pytest.raises(sb.FileError, match="does not describe a model") as raised:
        sb.load(path)
    assert "\n" not in str(raised.value)


def test_other_files_are_refused(path, tmp_path):
    with pytest.raises(sb.FileError, match=r"cannot read .*: No such file"):
        sb.load(tmp_path / "none.safetensors")
    with pytest.raises(sb.FileError, match="embedded null byte"):
        sb.load("a\0b")
    with pytest.raises(sb.FileError, match=r"cannot read .*: Is a directory"):
        sb.load(tmp_path)
    path.write_text("a,b\n1,2\n")
    with pytest.raises(sb.FileError, match="give a file that seedbed train or save wrote"):
        sb.load(path)
    from safetensors.numpy import save_file

    save_file({"theta": np.zeros((2, 2))}, path)
    with pytest.raises(sb.FileError, match="Seedbed did not write it: give a file that"):
        sb.load(path)


def test_failed_write_keeps_the_old_file(path, monkeypatch):
    sb.save(path, population())
    before = path.read_bytes()

    def fail(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", fail)
        with pytest.raises(sb.FileError, match="No space left on device"):
            sb.save(path, population(seeds=[7, 8, 9]))
    assert path.read_bytes() == before
    assert [*path.parent.iterdir()] == [path]


def test_missing_directory_is_named(tmp_path):
    with pytest.raises(sb.FileError, match=r"cannot write .*none.*No such file or directory"):
        sb.save(tmp_path / "none" / "m.safetensors", population())


def test_link_is_followed_not_replaced(path, tmp_path):
    sb.save(path, population())
    link = tmp_path / "link.safetensors"
    link.symlink_to(path)
    sb.save(link, population(seeds=[7, 8, 9]))
    assert link.is_symlink()
    assert sb.load(path).seeds.tolist() == [7, 8, 9]


def test_diverged_members_stay_marked(path):
    network = sb.Network(3, [sb.Dense(2)])
    with pytest.warns(sb.DivergenceWarning):
        p = sb.train(
            network,
            X,
            X[:, :2],
            loss=sb.squared_error,
            optimizer=sb.SGD([0.1, 1e30]),
            seeds=[0, 1],
        )
    sb.save(path, p)
    assert sb.load(path).diverged.tolist() == [False, True]
    assert np.isnan(sb.load(path).predict(X)[1]).all()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_non_finite_parameters_are_refused(path, value):
    p = population()
    theta = p.theta.copy()
    theta[1, 3] = value
    files.save(path, replace(p, theta=theta))
    with pytest.raises(sb.FileError, match="impossible values"):
        sb.load(path)


def test_ensemble_validation_loss_is_saved(tmp_path):
    X = np.random.default_rng(0).normal(size=(40, 2))
    network = sb.Network(2, [sb.Dense(3, sb.tanh), sb.Dense(1)])
    population = sb.train(
        network, X, X[:, 0], loss=sb.squared_error, epochs=9, patience=5, monitor="ensemble",
        validation=0.3, seeds=range(3), record_every=2,
    )  # fmt: skip
    sb.save(tmp_path / "m.safetensors", population)
    again = sb.load(tmp_path / "m.safetensors")
    assert again.recipe == population.recipe
    assert len(again.history.ensemble_val_loss) == 5
    np.testing.assert_array_equal(
        again.history.ensemble_val_loss, population.history.ensemble_val_loss
    )
