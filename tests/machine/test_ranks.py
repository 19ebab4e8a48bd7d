"""What the environment tells a rank, and what a rank takes of its host."""

import pytest

from qdist.errors import QdistError
from qdist.machine import ranks
from qdist.machine.ranks import (
    LAUNCHERS,
    device_settings,
    gpu_count,
    hosted,
    is_gpu_aware,
    launched,
    memory_settings,
    own_cores,
)
from qdist.machine.ranks import thread_settings as threads

SHARE = {"cores": 3, "local_rank": 1, "local_size": 4}


@pytest.mark.parametrize("launcher", [launcher for launcher in LAUNCHERS if launcher.size], ids=lambda x: x.name)
def test_every_launcher_is_known_by_its_variables(launcher):
    environ = {launcher.size: "8", launcher.rank: "3", launcher.local_size: "4(x2)"}
    found = launched(environ)
    assert (found.launcher, found.rank, found.size, found.local_size) == (launcher, 3, 8, 4)


def test_a_process_of_its_own_has_no_launcher():
    assert launched({}) is None
    assert launched({"PMI_SIZE": "", "PMI_RANK": ""}) is None


def test_a_batch_script_is_one_process_though_slurm_gave_it_many_tasks():
    assert launched({"SLURM_NTASKS": "8", "SLURM_PROCID": "0", "SLURM_JOB_ID": "5"}) is None


def test_mpiexec_within_a_step_of_slurm_counts_its_own_ranks():
    environ = {"SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "1", "PMI_SIZE": "16", "PMI_RANK": "9"}
    assert (launched(environ).size, launched(environ).rank) == (16, 9)


def test_pmix_alone_does_not_tell_how_many_there_are():
    found = launched({"PMIX_RANK": "1"})
    assert (found.rank, found.size) == (1, None)


def test_buffers_of_a_gpu_go_to_mpi_only_if_it_was_told_so():
    assert not is_gpu_aware({})
    assert not is_gpu_aware({"MPICH_GPU_SUPPORT_ENABLED": "0"})
    assert is_gpu_aware({"MPICH_GPU_SUPPORT_ENABLED": "1"})
    assert is_gpu_aware({"OMPI_MCA_opal_cuda_support": "True"})


def test_ranks_share_the_cores_that_they_all_may_use():
    host = frozenset(range(8))
    assert own_cores(host, [host] * 4) == 2
    assert own_cores(host, [host] * 16) == 1


def test_a_rank_that_is_bound_has_all_its_cores():
    masks = [frozenset(range(first, first + 4)) for first in (0, 4, 8)]
    assert [own_cores(mask, masks) for mask in masks] == [4, 4, 4]


def test_threads_are_set_unless_the_user_did():
    assert set(threads({}, 3).values()) == {"3"}
    assert "OPENBLAS_NUM_THREADS" in threads({}, 3)
    assert threads({"OMP_NUM_THREADS": "8"}, 3) == {}


def test_without_gpus_only_cores_are_shared():
    assert device_settings({}, **SHARE, gpus=0) == {"NPROC": "3"}
    assert device_settings({"NPROC": "7"}, **SHARE, gpus=0) == {}
    assert device_settings({"CUDA_VISIBLE_DEVICES": ""}, **SHARE, gpus=4) == {"NPROC": "3"}
    assert device_settings({"CUDA_VISIBLE_DEVICES": "-1"}, **SHARE, gpus=4) == {"NPROC": "3"}


@pytest.mark.parametrize(
    ("visible", "gpus", "device", "is_shared"),
    [
        (None, 4, "1", False),
        (None, 2, "1", True),
        (None, 1, None, True),
        ("4,5,6,7", 8, "5", False),
        ("6, 7", 8, "7", True),
        ("GPU-1a,MIG-2b", 8, "MIG-2b", True),
        ("3", 8, None, True),
    ],
)
def test_a_rank_takes_the_gpu_of_its_number_among_those_it_may_see(visible, gpus, device, is_shared):
    environ = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    settings = device_settings(environ, **SHARE, gpus=gpus)
    assert settings.get("CUDA_VISIBLE_DEVICES") == device
    assert settings.get("XLA_PYTHON_CLIENT_PREALLOCATE") == ("false" if is_shared else None)


def test_ranks_take_gpus_in_turn():
    found = [
        device_settings({}, cores=1, local_rank=rank, local_size=4, gpus=2)["CUDA_VISIBLE_DEVICES"] for rank in range(4)
    ]
    assert found == ["0", "1", "0", "1"]


def test_how_gpu_memory_is_taken_stays_as_the_user_says():
    environ = {"XLA_PYTHON_CLIENT_PREALLOCATE": "true"}
    assert "XLA_PYTHON_CLIENT_PREALLOCATE" not in device_settings(environ, **SHARE, gpus=1)


def test_jax_may_have_nearly_all_memory_of_a_gpu_unless_the_user_says_how_much():
    assert memory_settings({}, 1) == {"XLA_PYTHON_CLIENT_MEM_FRACTION": ".95"}
    assert memory_settings({}, 0) == {}
    for name in ("XLA_PYTHON_CLIENT_MEM_FRACTION", "XLA_CLIENT_MEM_FRACTION"):
        assert memory_settings({name: ".5"}, 1) == {}
        assert "XLA_PYTHON_CLIENT_MEM_FRACTION" not in device_settings({name: ".5"}, **SHARE, gpus=4)
    assert device_settings({}, **SHARE, gpus=4)["XLA_PYTHON_CLIENT_MEM_FRACTION"] == ".95"


def test_gpus_are_counted_by_their_files(tmp_path, monkeypatch):
    monkeypatch.setattr(ranks, "DEVICES", tmp_path)
    assert gpu_count() == 0
    for name in ("nvidia0", "nvidia3", "nvidiactl", "nvidia-uvm", "sda"):
        (tmp_path / name).touch()
    assert gpu_count() == 2


def test_nodes_are_hosted_in_turn():
    nodes = ["a", "b", "c", "d", "e"]
    assert [hosted(nodes, rank, 2) for rank in range(2)] == [("a", "c", "e"), ("b", "d")]
    assert hosted(["a"], 3, 4) == ()


def test_nodes_are_hosted_as_the_job_says():
    hosts = [["c"], [], ["a", "b"]]
    assert [hosted(["a", "b", "c"], rank, 4, hosts) for rank in range(4)] == [("c",), (), ("a", "b"), ()]


def test_fewer_ranks_than_the_job_says_share_its_lists():
    assert [hosted(["a", "b", "c"], rank, 2, [["a"], ["b"], ["c"]]) for rank in range(2)] == [("a", "c"), ("b",)]


@pytest.mark.parametrize(
    ("hosts", "words"),
    [
        ([["a"], ["b"]], "'c' is not there"),
        ([["a", "b"], ["c", "a"]], "'a' is there 2 times"),
        ([["a", "b"], ["c", "bob"]], "'bob' is none"),
    ],
)
def test_every_node_is_hosted_once(hosts, words):
    with pytest.raises(QdistError, match=words):
        hosted(["a", "b", "c"], 0, 2, hosts)
