"""When to compute with fewer threads, and how the machine says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from localagent.engine.power import Mode, Power, Saver, advice, this_power


@pytest.mark.parametrize(
    ("mode", "now", "hot", "threads", "why"),
    [
        ("auto", Power(), False, 8, ""),
        ("auto", Power(80, False), False, 8, ""),
        ("auto", Power(19, False), False, 4, "the battery is at 19 %"),
        ("auto", Power(19, True), False, 8, ""),
        ("auto", Power(19, None), False, 4, "the battery is at 19 %"),
        ("auto", Power(100, True), True, 4, "the processor is slowed down to cool"),
        ("full", Power(3, False), True, 8, ""),
        ("save", Power(100, True), False, 4, "power: save is set"),
    ],
)
def test_how_many_threads(mode: Mode, now: Power, hot: bool, threads: int, why: str) -> None:
    assert advice(mode, now, hot, 8) == (threads, why)
    assert advice(mode, now, hot, 1)[0] == 1


def test_it_looks_now_and_then_and_cools_down() -> None:
    clock, slowed, looks = [0.0], [0], [0]

    def read() -> Power:
        looks[0] += 1
        return Power(slowed_ms=slowed[0])

    saver = Saver(read, lambda: clock[0])
    assert saver.threads("auto", 8) == (8, "") and looks == [1]
    clock[0], slowed[0] = 5.0, 4000
    assert saver.threads("auto", 8)[0] == 8 and looks == [1]
    clock[0] = 20.0
    assert saver.threads("auto", 8)[0] == 4
    clock[0], slowed[0] = 40.0, 4500
    assert saver.threads("auto", 8)[0] == 8


def supply(system: Path, name: str, **values: str) -> None:
    folder = system / "class/power_supply" / name
    folder.mkdir(parents=True)
    for key, value in values.items():
        (folder / key).write_text(f"{value}\n")


def test_a_laptop_on_its_battery(tmp_path: Path) -> None:
    supply(tmp_path, "BAT0", type="Battery", capacity="17", status="Discharging")
    supply(tmp_path, "AC", type="Mains", online="0")
    supply(tmp_path, "mouse", type="Battery", scope="Device", capacity="90", status="Discharging")
    assert this_power(tmp_path) == Power(17.0, False)
    (tmp_path / "class/power_supply/AC/online").write_text("1\n")
    assert this_power(tmp_path) == Power(17.0, True)


def test_a_charging_battery_without_a_mains_entry_and_heat(tmp_path: Path) -> None:
    supply(tmp_path, "BAT1", type="Battery", capacity="17", status="Charging")
    for cpu, told in ((0, "120"), (1, "450")):
        folder = tmp_path / f"devices/system/cpu/cpu{cpu}/thermal_throttle"
        folder.mkdir(parents=True)
        (folder / "package_throttle_total_time_ms").write_text(told)
    assert this_power(tmp_path) == Power(17.0, True, 450)


def test_a_desktop_has_no_battery(tmp_path: Path) -> None:
    (tmp_path / "class/power_supply").mkdir(parents=True)
    assert this_power(tmp_path) == Power(None, None, None)
    assert isinstance(this_power(tmp_path / "none"), Power)
