"""Names of ARM cores: the processor gives numbers, not names (Arm's "Main ID Register").

Numbers as in util-linux (sys-utils/lscpu-arm.c, https://github.com/util-linux/util-linux) and the Linux kernel
(arch/arm64/include/asm/cputype.h, https://github.com/torvalds/linux); only cores that run 64-bit Linux.
"""

_ARM = {
    0xD03: "Cortex-A53", 0xD04: "Cortex-A35", 0xD05: "Cortex-A55", 0xD07: "Cortex-A57", 0xD08: "Cortex-A72",
    0xD09: "Cortex-A73", 0xD0A: "Cortex-A75", 0xD0B: "Cortex-A76", 0xD0C: "Neoverse-N1", 0xD0D: "Cortex-A77",
    0xD0E: "Cortex-A76AE", 0xD40: "Neoverse-V1", 0xD41: "Cortex-A78", 0xD42: "Cortex-A78AE", 0xD44: "Cortex-X1",
    0xD46: "Cortex-A510", 0xD47: "Cortex-A710", 0xD48: "Cortex-X2", 0xD49: "Neoverse-N2", 0xD4B: "Cortex-A78C",
    0xD4C: "Cortex-X1C", 0xD4D: "Cortex-A715", 0xD4E: "Cortex-X3", 0xD4F: "Neoverse-V2", 0xD80: "Cortex-A520",
    0xD81: "Cortex-A720", 0xD82: "Cortex-X4", 0xD83: "Neoverse-V3AE", 0xD84: "Neoverse-V3", 0xD85: "Cortex-X925",
    0xD87: "Cortex-A725", 0xD8E: "Neoverse-N3",
}  # fmt: skip
_PARTS = {
    0x41: ("ARM", _ARM),
    0x46: ("Fujitsu", {0x001: "A64FX"}),
    0x48: ("HiSilicon", {0xD01: "Kunpeng-920"}),
    0x4E: ("NVIDIA", {0x003: "Denver 2", 0x004: "Carmel"}),
    0x51: ("Qualcomm", {0x001: "Oryon", 0xC00: "Falkor"}),
    0x61: (
        "Apple",
        {
            0x022: "Icestorm-M1", 0x023: "Firestorm-M1", 0x024: "Icestorm-M1-Pro", 0x025: "Firestorm-M1-Pro",
            0x028: "Icestorm-M1-Max", 0x029: "Firestorm-M1-Max", 0x032: "Blizzard-M2", 0x033: "Avalanche-M2",
        },
    ),
    0xC0: ("Ampere", {0xAC3: "Ampere-1", 0xAC4: "Ampere-1a"}),
}  # fmt: skip


def arm_core_name(implementer: str | None, part: str | None) -> str | None:
    """The core that "0x41" and "0xd4f" stand for ("ARM Neoverse-V2"); the numbers when nobody named them."""
    if not implementer or not part:
        return None
    try:
        vendor, names = _PARTS[int(implementer, 16)]
        return f"{vendor} {names[int(part, 16)]}"
    except (KeyError, ValueError):
        return f"ARM implementer {implementer} part {part}"
