"""Counting cores, from files laid out as the kernel lays them."""

from __future__ import annotations

from pathlib import Path

import pytest

from satsuma.engine.machine import (
    Cores,
    detect_cores,
    instruction_sets,
    read_quota,
    total_memory_bytes,
)

MACHINE_BYTES = 64 * 2**30


def lay(root: Path, files: dict[str, str]) -> Path:
    """Write files under a root of our own."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


def test_cgroup_v2_quota(tmp_path: Path) -> None:
    """cpu.max holds quota and period."""
    lay(tmp_path, {"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/cpu.max": "150000 100000"})
    assert read_quota(tmp_path) == 1.5


def test_the_tightest_parent_counts(tmp_path: Path) -> None:
    """A quota above the process's own group binds it as well."""
    lay(
        tmp_path,
        {
            "proc/self/cgroup": "0::/a/b\n",
            "sys/fs/cgroup/a/b/cpu.max": "max 100000",
            "sys/fs/cgroup/a/cpu.max": "200000 100000",
            "sys/fs/cgroup/cpu.max": "400000 100000",
        },
    )
    assert read_quota(tmp_path) == 2.0


def test_a_container_sees_its_group_as_the_mount(tmp_path: Path) -> None:
    """Without a group namespace the listed path does not exist below the mount."""
    lay(
        tmp_path,
        {"proc/self/cgroup": "0::/docker/1234\n", "sys/fs/cgroup/cpu.max": "300000 100000"},
    )
    assert read_quota(tmp_path) == 3.0


@pytest.mark.parametrize("mount", ["cpu", "cpu,cpuacct"])
def test_cgroup_v1_quota(tmp_path: Path, mount: str) -> None:
    """cpu.cfs_quota_us over cpu.cfs_period_us."""
    folder = f"sys/fs/cgroup/{mount}/x"
    lay(
        tmp_path,
        {
            "proc/self/cgroup": "4:cpu,cpuacct:/x\n1:name=systemd:/y\n",
            f"{folder}/cpu.cfs_quota_us": "250000",
            f"{folder}/cpu.cfs_period_us": "100000",
        },
    )
    assert read_quota(tmp_path) == 2.5


@pytest.mark.parametrize("files", [{}, {"proc/self/cgroup": "0::/\n"}])
def test_no_quota(tmp_path: Path, files: dict[str, str]) -> None:
    """Other systems have no such files; most machines have no limit."""
    assert read_quota(lay(tmp_path, files)) is None


def test_no_limit_in_v1_is_minus_one(tmp_path: Path) -> None:
    """-1 means unlimited."""
    lay(
        tmp_path,
        {
            "proc/self/cgroup": "4:cpu:/\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
        },
    )
    assert read_quota(tmp_path) is None


@pytest.mark.parametrize(
    ("cores", "usable"),
    [
        (Cores(quota=None, affinity=None, machine=8), 8),
        (Cores(quota=None, affinity=4, machine=8), 4),
        (Cores(quota=2.9, affinity=4, machine=8), 2),
        (Cores(quota=0.5, affinity=4, machine=8), 1),
        (Cores(quota=16.0, affinity=4, machine=8), 4),
    ],
)
def test_the_smallest_limit_wins(cores: Cores, usable: int) -> None:
    """Whole cores, at least one."""
    assert cores.usable == usable


def test_names_that_are_not_ascii(tmp_path: Path) -> None:
    """A group may have any name; the quotas of its parents are still found."""
    lay(tmp_path, {"proc/self/cgroup": "0::/a/bü\n", "sys/fs/cgroup/a/cpu.max": "200000 100000"})
    assert read_quota(tmp_path) == 2.0


@pytest.fixture
def machine_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of 64 GiB."""
    pages = {"SC_PHYS_PAGES": MACHINE_BYTES // 4096, "SC_PAGE_SIZE": 4096}
    monkeypatch.setattr("os.sysconf", pages.__getitem__)


@pytest.mark.usefixtures("machine_memory")
@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, MACHINE_BYTES),
        ({"sys/fs/cgroup/memory.max": "3000"}, 3000),
        ({"proc/self/cgroup": "0::/a/b", "sys/fs/cgroup/a/b/memory.max": "max"}, MACHINE_BYTES),
        (
            {
                "proc/self/cgroup": "0::/a/b",
                "sys/fs/cgroup/a/b/memory.max": "5000",
                "sys/fs/cgroup/a/memory.max": "4000",
                "sys/fs/cgroup/memory.max": "max",
            },
            4000,
        ),
        (
            {
                "proc/self/cgroup": "9:memory:/x/y\n4:cpu:/z\n0::/q",
                "sys/fs/cgroup/memory/x/memory.limit_in_bytes": "7000",
                "sys/fs/cgroup/memory/x/y/memory.limit_in_bytes": "9223372036854771712",
                "sys/fs/cgroup/memory/z/memory.limit_in_bytes": "1",
            },
            7000,
        ),
    ],
)
def test_memory_is_the_tightest_limit(tmp_path: Path, files: dict[str, str], expected: int) -> None:
    """The process's own group and its parents, in both versions; else the machine's."""
    assert total_memory_bytes(lay(tmp_path, files)) == expected


def test_memory_of_a_system_that_does_not_tell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Little is assumed."""

    def sysconf(name: str) -> int:
        raise ValueError(name)

    monkeypatch.setattr("os.sysconf", sysconf)
    assert total_memory_bytes(tmp_path) == 4 * 2**30


def test_this_machine() -> None:
    """The real one answers too."""
    assert total_memory_bytes() > 2**26
    assert 1 <= detect_cores().usable <= detect_cores().machine
    assert instruction_sets()
