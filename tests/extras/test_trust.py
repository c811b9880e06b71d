"""What a user of long work needs: nothing lost, nothing half written, refusals at once."""

import hashlib
import json
import os
import pickle
import resource
import stat
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import seedbed as sb
from seedbed import files, writing
from seedbed.errors import message_of
from seedbed.estimators import NetworkClassifier
from seedbed.tables.reading import parse

X, Y = sb.xor.data()


@pytest.fixture(scope="module")
def population():
    return sb.train(sb.xor.recipe(5), X, Y, seeds=range(3))


@pytest.fixture
def csv(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=60)
    path = tmp_path / "t.csv"
    pl.DataFrame(
        {"x": x, "c": rng.choice(["a", "b"], 60), "y": np.where(x > 0, "p", "q")}
    ).write_csv(path)
    return path


TRAIN = ["--target", "y", "--members", "1", "--epochs", "2"]


@pytest.mark.parametrize(
    ("what", "stdout"),
    [("--out", "closed"), ("--out", "broken"), ("--out", "full"), ("--plot", "broken"),
     ("predict", "full")],
)  # fmt: skip
def test_files_are_written_whatever_becomes_of_standard_output(what, stdout, csv, tmp_path):
    out = tmp_path / {"--out": "m.safetensors", "--plot": "p.svg", "predict": "p.csv"}[what]
    words = ["train", csv, *TRAIN, what, out]
    if what == "predict":
        model = tmp_path / "m.safetensors"
        assert subprocess.run(
            [sys.executable, "-m", "seedbed", "train", csv, *TRAIN, "--out", model], check=False,
            capture_output=True,
        ).returncode == 0  # fmt: skip
        words = ["predict", model, csv, "--json", "--out", out]
    command = [sys.executable, "-m", "seedbed", *map(str, words)]
    env = {**os.environ, "PYTHONUNBUFFERED": "1"}
    if stdout == "closed":
        status = subprocess.run(
            ["sh", "-c", 'exec "$@" >&-', "sh", *command], env=env, check=False,
            stderr=subprocess.PIPE,
        ).returncode  # fmt: skip
    elif stdout == "full":
        with Path("/dev/full").open("w") as full:
            done = subprocess.run(
                command, env=env, stdout=full, stderr=subprocess.PIPE, check=False, text=True
            )
        status = done.returncode
        assert status == 2
        assert "cannot write the output: No space left on device" in done.stderr
        status = 0
    else:
        with subprocess.Popen(
            command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            process.stdout.close()
            status = process.wait()
    assert status == 0
    assert out.stat().st_size > 100


def test_a_file_keeps_its_permissions_from_the_first_byte_on(population, tmp_path):
    path = tmp_path / "m.safetensors"
    sb.save(path, population)
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask
    path.chmod(0o600)
    with writing.replacement(path) as file:
        (temporary,) = set(tmp_path.iterdir()) - {path}
        assert stat.S_IMODE(temporary.stat().st_mode) == 0o600
        file.write(b"x")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_what_killed_processes_left_is_removed_and_what_others_write_is_not(tmp_path):
    path = tmp_path / "m"
    code = (
        "import sys, os, signal; from seedbed import writing\n"
        "with writing.replacement(sys.argv[1]) as file:\n"
        "    file.write(b'x' * 100); file.flush(); print('writing', flush=True); sys.stdin.read()\n"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for _ in range(3)
    ]
    for process in processes:
        assert process.stdout.readline() == b"writing\n"
    for process in processes[:2]:
        process.kill()
        process.wait()
    assert len(list(tmp_path.iterdir())) == 3
    writing.write_atomically(path, b"new")
    assert len(list(tmp_path.iterdir())) == 2  # the new one, and that of the third process
    processes[2].communicate()
    assert path.read_bytes() == b"x" * 100  # the last one to end
    assert list(tmp_path.iterdir()) == [path]
    for process in processes[:2]:
        process.stdin.close()
        process.stdout.close()


def test_links_are_followed_loops_and_unread_pipes_are_refused(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    link.symlink_to(target)
    writing.write_atomically(link, b"1")
    assert (link.is_symlink(), target.read_bytes()) == (True, b"1")
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path, message in ((loop, "symbolic links"), (pipe, "a pipe that nothing reads")):
        with pytest.raises(sb.FileError, match=message):
            writing.write_atomically(path, b"1")
    with pytest.raises(sb.FileError, match="it is no regular file"):
        sb.load(pipe)
    assert loop.is_symlink()


def test_the_same_content_has_the_same_bytes(population, tmp_path):
    assert len({files.to_bytes(population) for _ in range(20)}) == 1
    sb.save(tmp_path / "m", population)
    sb.save(tmp_path / "n", sb.load(tmp_path / "m"))
    assert (tmp_path / "m").read_bytes() == (tmp_path / "n").read_bytes()


def bomb(path, model, tensors=None):
    digest = hashlib.sha256(f"seedbed 1\n{model}".encode()).hexdigest()
    metadata = {"format": "seedbed", "version": "1", "model": model, "sha256": digest}
    header = json.dumps({"__metadata__": metadata, **(tensors or {})}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header)


EMPTY = {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}
BOMBS = {
    "long": lambda: ('{"recipe": "' + "x" * 40_000_000 + '"}', None),
    "many": lambda: (json.dumps({"recipe": [[{"a": 1}] * 1_200_000]}), None),
    "deep": lambda: ("[" * 900_000, None),
    "layers": lambda: (
        json.dumps({"recipe": {"network": {"inputs": 1, "layers": [{"kind": "Dense"}] * 99_999}}}),
        None,
    ),
    "tensors": lambda: ("{}", {f"t{number}": EMPTY for number in range(50_000)}),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_hostile_headers_are_refused_at_once(kind, tmp_path):
    path = tmp_path / "m.safetensors"
    bomb(path, *BOMBS[kind]())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    with pytest.raises(sb.FileError):
        sb.load(path)
    assert time.perf_counter() - began < 3  # one second where nothing else runs
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # kB


@pytest.mark.parametrize("fault", ["others may write", "planted"])
def test_compiled_code_that_others_may_have_written_is_not_loaded(fault, tmp_path):
    folder = tmp_path / "cache" / "seedbed"
    folder.mkdir(parents=True, mode=0o700)
    code = (
        "import numpy as np, seedbed as sb; from seedbed.engines.compiled import prediction\n"
        "print(prediction.Formula(sb.poisson.predict)(np.ones(2, 'float32')).tolist())\n"
    )

    def process():
        return subprocess.run(
            [sys.executable, "-W", "always", "-c", code], check=True, capture_output=True,
            text=True, env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")},
        )  # fmt: skip

    expected = process().stdout
    names = list(folder.iterdir())
    assert len(names) == 4
    marker = tmp_path / "ran"

    class Planted:
        def __reduce__(self):
            return (Path.touch, (marker,))

    for path in names:
        content = pickle.dumps(Planted())
        digest = hashlib.sha256(path.name.encode() + b"\0" + content).digest()
        path.write_bytes(digest + content if fault != "planted" else content)
    if fault == "others may write":
        folder.chmod(0o777)
    found = process()
    assert found.stdout == expected
    assert not marker.exists()
    if fault != "planted":
        assert found.stderr.count("is not used, as other users may write compiled code") == 1


def test_a_new_cache_is_used_whatever_the_umask(tmp_path):
    """Many systems let a user's group write to new folders."""
    code = (
        "import os; os.umask(0o002)\n"
        "from seedbed.engines.compiled import cache\n"
        "print(cache.can_keep(), cache.directory())\n"
    )
    home = {"HOME": str(tmp_path / "new home"), "XDG_CACHE_HOME": "", "NUMBA_CACHE_DIR": ""}
    for name in ("XDG_CACHE_HOME", "NUMBA_CACHE_DIR"):
        home.pop(name)
    env = {name: value for name, value in os.environ.items() if name not in (
        "XDG_CACHE_HOME", "NUMBA_CACHE_DIR")}  # fmt: skip
    found = subprocess.run(
        [sys.executable, "-c", code], env=env | home, capture_output=True, text=True, check=True
    )
    kept, place = found.stdout.split(" ", 1)
    assert (kept, found.stderr) == ("True", "")
    assert stat.S_IMODE(Path(place.strip()).stat().st_mode) == 0o700


def test_control_characters_reach_no_terminal(tmp_path, run):
    text = "evil\x1b[2J\x07name"
    table = tmp_path / "t.csv"
    pl.DataFrame({text: [1.0, 2.0] * 10, "y": [f"a{text}", "b"] * 10}).write_csv(table)
    status, out, err = run("train", table, *TRAIN, "--drop", text, "--out", tmp_path / "m")
    assert status == 2
    assert "\x1b" not in out + err
    status, out, err = run("train", table, *TRAIN, "--out", tmp_path / "m")
    assert status == 0, err
    status, out, err = run("info", tmp_path / "m")
    assert "evil\\x1b[2J\\x07name" in out
    assert not {"\x1b", "\x07"} & set(out + err)


def test_messages_have_one_line_of_at_most_300_characters(tmp_path):
    long = message_of("what came: " + "x" * 100_000 + "; mend it\nso")
    assert len(long) <= 300
    assert long.startswith("what came: xxx")
    assert long.endswith("; mend it so")
    with pytest.raises(sb.TableError) as raised:
        parse("t.csv", b"a" * 100_000 + b",b\n1,2,3\n")
    assert len(str(raised.value)) <= 300


def test_damaged_parquet_is_one_line(tmp_path, capfd):
    """Some of these make polars panic, which is no Exception, and print pages."""
    frame = pl.DataFrame({"a": [1.0, 2.0, 3.0] * 50, "b": ["x", "y", "z"] * 50})
    frame.write_parquet(tmp_path / "t.parquet")
    whole = (tmp_path / "t.parquet").read_bytes()
    rng = np.random.default_rng(0)
    messages = []
    for _ in range(300):
        content = bytearray(whole)
        for place in rng.integers(4, len(whole), rng.integers(1, 9)):
            content[place] = rng.integers(256)
        try:
            table = parse("t.parquet", bytes(content))
            for name in table.columns:
                table.column(name)
        except sb.TableError as error:
            messages.append(str(error))
    assert len(messages) > 100
    assert not any("\n" in message for message in messages)
    assert capfd.readouterr().err == ""


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_lone_surrogate_is_no_traceback(tmp_path, run):
    rows = np.random.default_rng(0).normal(size=(40, 2))
    labels = np.array(["a\ud800", "b"] * 20, dtype=object)
    NetworkClassifier(members=1, max_iter=2).fit(rows, labels).save(tmp_path / "m")
    pl.DataFrame(rows, schema=["x0", "x1"]).write_csv(tmp_path / "t.csv")
    for name in ("p.csv", "p.parquet"):
        status, _, err = run(
            "predict", tmp_path / "m", tmp_path / "t.csv", "--out", tmp_path / name
        )
        assert status == 0, err
        assert (tmp_path / name).exists()


# ---------------------------------------------------------------- memory

LIMITED = """
import resource, sys
import numpy as np, seedbed as sb
members, units, epochs = map(int, sys.argv[1:4])
share = float(sys.argv[4])
network = sb.Network(3, [sb.Dense(units, sb.tanh), sb.Dense(1)])
given = dict(loss="mse", engine="numpy", progress=False)
X = np.zeros((4, 3)) + np.arange(3); Y = np.ones((4, 1))
sb.train(network, X, Y, epochs=1, seeds=range(2), **given)  # loads what it needs
size = 4 * members * (4 * network.size + epochs)
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * resource.getpagesize() + int(share * size)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
try:
    sb.train(network, X, Y, epochs=epochs, seeds=range(members), **given)
except sb.SettingError as error:
    print(error)
else:
    print("trained")
"""


@pytest.mark.parametrize(
    ("members", "units", "epochs", "remedy"),
    [(400, 6000, 1, "train fewer seeds at a time"), (3000, 2, 1500, "record_every")],
)
def test_memory_that_does_not_fit_is_refused_before_it_is_taken(members, units, epochs, remedy):
    for share, expected in ((0.8, remedy), (1.25, "trained")):
        found = subprocess.run(
            [sys.executable, "-c", LIMITED, *map(str, (members, units, epochs, share))],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        assert expected in found, (share, found)
        assert found.count("\n") == 1


FITTED = """
import resource, sys, warnings
import numpy as np
import polars as pl
import seedbed as sb
from seedbed.estimators import NetworkRegressor, network
warnings.simplefilter("ignore")
rows, columns, effort, share = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], float(sys.argv[4])
rng = np.random.default_rng(0)
given = {"members": 2, "max_iter": 1, "effort": effort, "hidden_layer_sizes": (4,), "n_jobs": 1}
NetworkRegressor(**given, engine="numpy").fit(rng.normal(size=(300, 3)), rng.normal(size=300))
X, y = rng.normal(size=(rows, columns)), rng.normal(size=rows)
check = network.check_fits
def limited(needed, what, remedy):
    if what.startswith("training on"):
        pages = int(open("/proc/self/statm").read().split()[0])
        limit = pages * resource.getpagesize() + int(share * needed)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    check(needed, what, remedy)
network.check_fits = limited
try:
    NetworkRegressor(**given, engine="numpy").fit(X, y)
except sb.SettingError as error:
    print(error)
else:
    print("trained")
"""


@pytest.mark.parametrize(
    ("rows", "columns", "effort"), [(60_000, 60, "fast"), (40_000, 40, "default")]
)
def test_a_table_that_does_not_fit_is_refused_before_it_is_encoded(rows, columns, effort):
    for share, expected in ((0.8, "to train from disk"), (1.25, "trained")):
        found = subprocess.run(
            [sys.executable, "-c", FITTED, str(rows), str(columns), effort, str(share)],
            capture_output=True, text=True, check=False,
            env={**os.environ, "MALLOC_ARENA_MAX": "1"},
        )  # fmt: skip
        assert expected in found.stdout, (share, found.stdout, found.stderr[-800:])
        assert found.stdout.count("\n") == 1


def test_work_without_end_is_refused():
    with pytest.raises(sb.SettingError, match=r"1,000,000,000,000 seeds needs about 40 TB"):
        sb.train(sb.xor.recipe(5), X, Y, seeds=range(10**12))
    with pytest.raises(sb.SettingError, match=r"predictions of .* for 20,000,000 rows needs about"):
        sb.train(sb.xor.recipe(5), X, Y, seeds=range(2000)).predict(
            np.broadcast_to(np.zeros(3, "float32"), (20_000_000, 3))
        )


# ---------------------------------------------------------------- formulas of the user's own


def test_a_checkpoint_of_other_formulas_is_refused(tmp_path):
    def slope(x, y):
        return 1 - y**2

    def other(x, y):
        return 1.0 - y * y

    def recipe(derivative):
        own = sb.Activation("own", lambda x: np.tanh(x), derivative)
        network = sb.Network(3, [sb.Dense(4, own), sb.Dense(1)])
        return sb.Recipe(network=network, loss="mse", epochs=3, engine="numpy")

    path, first = tmp_path / "run", recipe(slope)
    sb.train(first, X, Y, checkpoint=path)
    with pytest.raises(sb.SettingError, match="it differs in recipe"):
        sb.train(recipe(other), X, Y, checkpoint=path)
    with pytest.raises(sb.SettingError, match="it differs in recipe"):
        sb.train(replace(first, epochs=4), X, Y, checkpoint=path)
