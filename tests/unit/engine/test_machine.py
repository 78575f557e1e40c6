"""Counting cores, from files laid out as the kernel lays them."""

from __future__ import annotations

from pathlib import Path

import pytest

from satsuma.engine.machine import Cores, detect_cores, instruction_sets, read_quota


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


def test_this_machine() -> None:
    """The real one answers too."""
    assert 1 <= detect_cores().usable <= detect_cores().machine
    assert instruction_sets()
