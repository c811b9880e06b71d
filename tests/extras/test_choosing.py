"""What a fit tries on a table, and what it takes."""

import json
import time

import numpy as np
import pandas as pd
import pytest

import seedbed as sb
from seedbed import files
from seedbed.cli import main
from seedbed.estimators import NetworkClassifier, NetworkRegressor
from seedbed.layers import Periodic

pytestmark = [  # of short trainings
    pytest.mark.filterwarnings("ignore::seedbed.errors.SeedbedWarning"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]
QUICK = {
    "hidden_layer_sizes": (12,), "members": 4, "max_iter": 30, "random_state": 0,
    "learning_rate_init": 0.01,
}  # fmt: skip
RANDOM = np.random.default_rng(0)
X = RANDOM.uniform(-1, 1, (160, 2))
WAVE = np.sin(9 * X[:, 0])


def names(estimator):
    return [trial.name for trial in estimator.recipes_]


def chosen(estimator):
    return [trial.name for trial in estimator.recipes_ if trial.chosen]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, ["bins", "fine bins", "periodic", "bins, dropout 0.3"]),
        ({"codes": "fine bins"}, ["fine bins", "fine bins, dropout 0.3"]),
        ({"dropout": 0.1}, [f"{c}, dropout 0.1" for c in ("bins", "fine bins", "periodic")]),
        ({"codes": "periodic", "dropout": 0.0}, ["periodic"]),
        ({"early_stopping": False}, ["bins"]),
        ({"effort": "fast"}, ["bins"]),
        ({"effort": "fast", "codes": "periodic"}, ["periodic"]),
        (
            {"effort": "high"},
            [
                f"{codes}{rate}"
                for rate in ("", ", dropout 0.1", ", dropout 0.3")
                for codes in ("bins", "fine bins", "periodic")
            ],
        ),
        (
            {"effort": "high", "codes": "bins"},
            ["bins", "bins, dropout 0.1", "bins, dropout 0.3"],
        ),
    ],
)
def test_what_is_auto_varies(given, expected):
    fitted = NetworkRegressor(**QUICK | given | {"max_iter": 3}).fit(X, WAVE)
    assert names(fitted) == expected
    assert len(chosen(fitted)) == 1
    if given.get("codes") == "periodic":
        assert isinstance(fitted.population_.network.layers[0], Periodic)
    if given == {"early_stopping": False}:
        assert fitted.population_.recipe.dropout == 0


def test_the_model_is_the_chosen_recipe():
    y = np.sin(25 * X[:, 0])  # which eight bins cannot follow
    fitted = NetworkRegressor(**QUICK | {"max_iter": 160}).fit(X, y)
    (trial,) = (trial for trial in fitted.recipes_ if trial.chosen)
    assert trial.name == "fine bins"
    assert fitted.population_.recipe == trial.recipe
    assert trial.held_out_loss == min(trial.held_out_loss for trial in fitted.recipes_)
    assert trial.held_out_loss == np.nanmin(fitted.validation_curve_)
    assert fitted.encoding_.width == fitted.population_.network.inputs > 40
    alone = NetworkRegressor(**QUICK | {"max_iter": 160, "codes": "fine bins", "dropout": 0.0})
    np.testing.assert_array_equal(fitted.predict(X), alone.fit(X, y).predict(X))


def test_small_tables_are_not_decided_by_chance():
    """On noise no recipe is better, and without the standard error two of three tables leave it."""
    left = []
    for seed in range(12):
        random = np.random.default_rng(seed)
        X, y = random.normal(size=(60, 3)), random.normal(size=60)
        fitted = NetworkRegressor(**QUICK | {"dropout": 0.2, "random_state": seed}).fit(X, y)
        left.append(chosen(fitted) != [names(fitted)[0]])
    assert sum(left) <= 6


def test_a_table_without_numbers_tries_no_codes():
    table = pd.DataFrame(RANDOM.choice(["a", "b", "c"], (120, 3)), columns=["u", "v", "w"])
    rule = np.where(table["u"] == table["v"], "same", "other")
    fitted = NetworkClassifier(**QUICK | {"max_iter": 60}).fit(table, rule)
    assert names(fitted) == ["bins", "bins, dropout 0.3"]
    assert fitted.score(table, rule) > 0.95


def test_weighted_rows_and_validation_data_choose_too():
    w = np.where(X[:, 1] > 0, 2.0, 1.0)
    twice = np.concatenate([X, X[w == 2]]), np.concatenate([WAVE, WAVE[w == 2]])
    weighted = NetworkRegressor(**QUICK).fit(X, WAVE, sample_weight=w)
    repeated = NetworkRegressor(**QUICK).fit(*twice)
    assert names(weighted) == names(repeated)
    assert chosen(weighted) == chosen(repeated)
    np.testing.assert_allclose(weighted.predict(X), repeated.predict(X), rtol=1e-12, atol=1e-14)
    given = NetworkRegressor(**QUICK).fit(
        X[:100], WAVE[:100], validation_data=(X[100:], WAVE[100:])
    )
    assert len(chosen(given)) == 1
    found = given.predict(X[100:])
    scaled = given.encoding_.target.standardised(np.stack([found, WAVE[100:]], 1).T[..., None])
    loss = ((scaled[0] - scaled[1]) ** 2).mean()
    (trial,) = (trial for trial in given.recipes_ if trial.chosen)
    assert trial.held_out_loss == pytest.approx(loss, rel=1e-5)


def test_a_periodic_model_goes_on(tmp_path):
    table = pd.DataFrame({"x": X[:, 0], "k": np.where(X[:, 1] > 0, "up", "down")})
    path = tmp_path / "m.safetensors"
    fitted = NetworkRegressor(**QUICK, codes="periodic", dropout=0.0).fit(table, WAVE)
    fitted.save(path)
    again = sb.load(path)
    np.testing.assert_array_equal(again.predict(table), fitted.predict(table))
    assert again.recipes_ == []
    network = fitted.population_.network
    fitted.partial_fit(table.replace("up", "new"), WAVE)
    assert any("not seen in training" in note for note in fitted.notes_)
    fitted.set_params(warm_start=True).fit(table, WAVE)
    assert fitted.population_.network == network


def test_wide_tables_try_no_recipe_twice():
    """With 400 columns, neither 8 nor 24 bins leave a bin for each; a periodic layer takes long."""
    wide = np.random.default_rng(1).normal(size=(60, 400))
    fitted = NetworkRegressor(**QUICK | {"max_iter": 2}).fit(wide, wide[:, 0])
    assert names(fitted) == ["bins", "bins, dropout 0.3"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"codes": "waves"},
            "codes must be 'auto', 'bins', 'fine bins' or 'periodic', not 'waves'",
        ),
        (
            {"effort": "most"},
            "effort must be one of fast, default, high, not 'most'",
        ),
        ({"effort": 2}, "effort must be one of fast, default, high, not 2"),
        ({"max_time": 0}, "invalid max_time: 0"),
        ({"max_time": "10 s"}, "max_time must be one number, not '10 s'"),
        ({"learning_rate_init": "fast"}, "learning rate must be a number"),
        ({"codes": 3}, "codes must be 'auto', 'bins', 'fine bins' or 'periodic', not 3"),
        ({"dropout": "none"}, "dropout must be 'auto' or a number, not 'none'"),
    ],
)
def test_unknown_settings_are_refused(given, message):
    with pytest.raises(sb.SettingError, match=message):
        NetworkRegressor(**QUICK | given).fit(X, WAVE)


def test_the_command_says_what_it_tried(tmp_path, capsys):
    path = tmp_path / "t.csv"
    pd.DataFrame(X, columns=["a", "b"]).assign(y=np.sin(25 * X[:, 0])).to_csv(path, index=False)
    words = ["train", str(path), "--target", "y", "--hidden", "12", "--members", "4"]
    assert main([*words, "--epochs", "160", "--lr", "0.01", "--json"]) == 0
    tried = json.loads(capsys.readouterr().out)["tried"]
    assert [each["name"] for each in tried if each["chosen"]] == ["fine bins"]
    assert tried[1]["held_out_loss"] == min(each["held_out_loss"] for each in tried)
    assert [each["epochs"] for each in tried] == [32, 160, 22, 22]
    assert main([*words, "--epochs", "160", "--lr", "0.01"]) == 0
    loss = f"fine bins {tried[1]['held_out_loss']:.4g} (taken); periodic"
    assert loss in capsys.readouterr().out
    assert main([*words, "--epochs", "3", "--codes", "bins", "--dropout", "0"]) == 0
    assert "tried" not in capsys.readouterr().out


def test_efforts_differ_in_epochs_and_rate():
    found = []
    for effort in ("fast", "default", "high"):
        given = {"effort": effort, "codes": "bins", "dropout": 0.0, "members": 2}
        recipe = NetworkRegressor((4,), random_state=0, **given).fit(X, WAVE).population_.recipe
        found.append((recipe.epochs, recipe.optimizer.lr))
    assert found == [(60, 0.008), (100, 0.006), (250, 0.003)]


def test_max_time_limits_a_fit():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(4000, 6))
    y = np.sin(3 * X[:, 0]) * X[:, 1]
    fitted = NetworkRegressor(random_state=0, engine="numpy", max_time=2.5)
    began = time.perf_counter()
    fitted.fit(X, y)
    assert time.perf_counter() - began < 8  # all recipes take a minute
    (trial,) = (trial for trial in fitted.recipes_ if trial.chosen)
    assert 1 <= trial.epochs < 100
    assert fitted.score(X, y) > 0.3
    assert 1 <= len(fitted.recipes_) <= 4


def test_networks_without_hidden_layers_try_no_dropout():
    fitted = NetworkRegressor(**QUICK | {"hidden_layer_sizes": (), "max_iter": 3}).fit(X, WAVE)
    assert names(fitted) == ["bins", "fine bins", "periodic"]
    assert fitted.population_.recipe.optimizer.weight_decay == 0.01


@pytest.mark.parametrize(
    ("given", "decay"), [({}, 0.01), ({"dropout": 0.2}, 0.3), ({"weight_decay": 0.1}, 0.1)]
)
def test_weight_decay_goes_with_dropout(given, decay):
    settings = {"codes": "bins", "dropout": 0.0, "max_iter": 2} | given
    fitted = NetworkRegressor(**QUICK | settings).fit(X, WAVE)
    assert fitted.population_.recipe.optimizer.weight_decay == decay


def test_partial_fit_grows_a_network_with_learned_scales():
    """What earlier batches did not have changes no earlier row's prediction."""
    table = pd.DataFrame({"x": X[:, 0], "k": np.where(X[:, 1] > 0, "up", "down")})
    fitted = NetworkRegressor(**QUICK, codes="bins", dropout=0.0).fit(table, WAVE)
    first = fitted.population_.network.layers[0]
    u = fitted.population_.network.views(fitted.population_.theta)[0].u
    assert first.input_scale == 6.0
    assert np.abs(u).max() > 1e-3
    before, inputs = fitted.predict(table), fitted.population_.network.inputs
    new = pd.DataFrame({"x": [0.1, None], "k": ["left", "up"]})
    fitted.set_params(learning_rate_init=1e-30).partial_fit(new, [0.0, 0.0])
    assert fitted.population_.network.inputs == inputs + 3  # two more for k, a flag for x
    assert fitted.encoding_.width == fitted.population_.network.inputs
    np.testing.assert_allclose(fitted.predict(table), before, rtol=1e-5, atol=1e-6)


def cities(rows, levels, seed=0):
    """Return a table and y, to which each city adds its own number."""
    rng = np.random.default_rng(seed)
    city, x = rng.integers(0, levels, rows), rng.normal(size=rows)
    y = np.random.default_rng(1).normal(size=levels)[city] + x + 0.1 * rng.normal(size=rows)
    return pd.DataFrame({"x": x, "city": [f"c{number}" for number in city]}), y


CITIES = {
    "hidden_layer_sizes": (32,), "members": 2, "max_iter": 20, "random_state": 0,
    "effort": "fast", "learning_rate_init": 0.02,
}  # fmt: skip


def test_a_column_of_hundreds_of_categories_is_learnt(tmp_path):
    table, y = cities(5000, 600)
    fitted = NetworkRegressor(**CITIES).fit(table[:4000], y[:4000])
    assert fitted.score(table[4000:], y[4000:]) > 0.95
    network = fitted.population_.network
    assert network.layers[0] == sb.Embedding([network.inputs - 1], [601], 8, "zeros")
    assert fitted.notes_ == []
    unseen = pd.DataFrame({"x": [0.5, 0.5], "city": ["nowhere", None]})
    found = fitted.predict(unseen)
    assert found[0] == found[1] == pytest.approx(0.5, abs=0.5)
    path = tmp_path / "m.safetensors"
    fitted.save(path)
    np.testing.assert_array_equal(sb.load(path).predict(unseen), found)
    explained = sb.explain(fitted, table[:5], y[:5])
    assert f"E{network.inputs - 1}_1" in {number.symbol for number in explained.numbers}
    assert sb.diagnose(fitted, table, y) == []


@pytest.mark.parametrize("change", [{"categories": ["a", "b"]}, {"embedded": False}])
def test_a_file_whose_categories_do_not_fit_the_embedding_is_refused(change, tmp_path):
    table, y = cities(400, 12)
    path = tmp_path / "m.safetensors"
    NetworkRegressor(**CITIES).fit(table, y).save(path)
    saved = files.read(path)
    saved.table["columns"][1].update(change)
    files.save(path, saved.population, saved.table)
    with pytest.raises(sb.FileError, match="does not fit its network"):
        sb.load(path)


def test_of_thousands_of_categories_the_rare_ones_share_a_vector(monkeypatch):
    monkeypatch.setattr("seedbed.tables.columns.MAX_EMBEDDED", 50)
    table, y = cities(800, 80)
    fitted = NetworkRegressor(**CITIES).fit(table, y)
    column = fitted.encoding_.columns[1]
    assert (len(column.categories), column.levels) == (49, 51)
    assert "city: of 80 different texts the 49 most frequent are categories" in fitted.notes_[0]
    rare = next(city for city in table["city"] if city not in column.categories)
    other = pd.DataFrame({"x": [0.0, 0.0], "city": [rare, "nowhere"]})
    assert len(set(fitted.predict(other))) == 1


def test_later_batches_do_not_extend_a_network_that_embeds():
    table, y = cities(400, 12)
    fitted = NetworkRegressor(**CITIES).fit(table, y)
    later = pd.DataFrame({"x": [0.5, 0.1], "city": ["elsewhere", "c1"]})
    with pytest.warns(sb.SeedbedWarning, match="not seen in training"):
        assert fitted.partial_fit(later, [0.5, 0.5]).encoding_.columns[1].levels == 13
    going = NetworkRegressor(**CITIES).partial_fit(table, y)
    width = going.encoding_.width
    assert not going.encoding_.embedded
    assert going.partial_fit(later, [0.5, 0.5]).encoding_.width == width + 1


def test_a_table_of_embedded_columns_alone():
    table, y = cities(400, 12)
    alone = table[["city"]]
    for codes in ("bins", "periodic"):
        fitted = NetworkRegressor(**CITIES, codes=codes).fit(alone, y - table["x"])
        assert fitted.score(alone, y - table["x"]) > 0.9
    classified = NetworkClassifier(**CITIES).fit(alone, y > 0)
    assert classified.predict_proba(alone).shape == (400, 2)
