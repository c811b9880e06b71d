"""The number of BLAS threads during and after training."""

import subprocess
import sys
import threading

from threadpoolctl import threadpool_info

import seedbed as sb


def blas_threads():
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


def train(**given):
    X, Y = sb.xor.data()
    return sb.train(sb.xor.recipe(3), X, Y, seeds=range(3), **given)


def test_blas_threads_are_restored_after_overlapping_trainings():
    entered, leave, during = threading.Event(), threading.Event(), []

    def wait(progress):
        entered.set()
        leave.wait(10)

    def record(progress):
        during.append(blas_threads())

    before = blas_threads()
    thread = threading.Thread(target=lambda: train(callbacks=[wait]))
    thread.start()
    assert entered.wait(10)
    train(callbacks=[record])
    leave.set()
    thread.join()
    assert set(during[0]) == {1}
    assert blas_threads() == before


def test_nested_training_keeps_blas_at_one_thread():
    during = []

    def nest(progress):
        train()
        during.append(blas_threads())

    before = blas_threads()
    train(callbacks=[nest])
    assert set(during[0]) == {1}
    assert blas_threads() == before


def test_a_library_that_is_loaded_between_trainings_is_limited():
    code = (
        "import seedbed as sb\n"
        "from threadpoolctl import threadpool_info\n"
        "def blas():\n"
        "    return [p['num_threads'] for p in threadpool_info() if p['user_api'] == 'blas']\n"
        "given = (sb.xor.recipe(3), *sb.xor.data())\n"
        "during = []\n"
        "sb.train(*given, seeds=range(3), callbacks=[lambda p: during.append(blas())])\n"
        "import scipy.linalg\n"
        "during.clear()\n"
        "before = blas()\n"
        "sb.train(*given, seeds=range(3), callbacks=[lambda p: during.append(blas())])\n"
        "print(set(during[0]), blas() == before)\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "{1} True\n"
