"""A small table of accelerators with round numbers, so that expected values can be checked by eye."""

from collections.abc import Mapping


def row(device_id: str, name: str, /, **cells: str) -> Mapping[str, str | None]:
    """One row as the profile loader gives it: text cells, None where empty."""
    base: dict[str, str | None] = {
        "id": device_id, "name": name, "aliases": None, "family_names": None, "pattern": None,
        "vendor": "nvidia", "architecture": "Test", "memory_mib": "24576", "memory_basis": "vendor",
        "memory_gb_per_s": "1000", "fp16_tflop_per_s": "100", "bf16_tflop_per_s": "100",
        "fp8_tflop_per_s": None, "fp4_tflop_per_s": None, "int8_top_per_s": None, "power_w": "300",
        "link_gb_per_s": None, "memory_type": "GDDR6X", "compute_capability": "8.9", "unified_memory": "0",
        "status": "agree", "source": "test",
    }  # fmt: skip
    return {**base, **cells}


ROWS = (
    row("rtx-4090", "GeForce RTX 4090", aliases="RTX 4090;4090", memory_mib="24564", memory_gb_per_s="1008",
        fp16_tflop_per_s="165", int8_top_per_s="660", pattern=r"(?:NVIDIA )?(?:GeForce )?RTX 4090"),
    row("rtx-3090", "GeForce RTX 3090", aliases="RTX 3090", link_gb_per_s="56.25",
        pattern=r"(?:NVIDIA )?(?:GeForce )?RTX 3090"),
    row("rtx-3060-12", "GeForce RTX 3060 12GB", aliases="RTX 3060 12GB", family_names="RTX 3060",
        memory_mib="12288", pattern=r"(?:NVIDIA )?(?:GeForce )?RTX 3060"),
    row("a100-sxm-40", "A100 SXM4 40GB", aliases="A100 SXM 40GB", family_names="A100;A100 SXM;A100 40GB",
        memory_mib="40960", pattern=r"(?:NVIDIA )?A100-SXM4-40GB"),
    row("a100-sxm-80", "A100 SXM4 80GB", aliases="A100 SXM 80GB", family_names="A100;A100 SXM;A100 80GB",
        memory_mib="81920", memory_gb_per_s="2000", fp16_tflop_per_s="350", pattern=r"(?:NVIDIA )?A100-SXM4-80GB"),
    row("a100-pcie-80", "A100 PCIe 80GB", aliases="A100 80GB PCIe", family_names="A100;A100 80GB",
        memory_mib="81920", pattern=r"(?:NVIDIA )?A100 80GB PCIe"),
    row("h100-sxm", "H100 SXM5 80GB", aliases="H100 SXM", family_names="H100", memory_mib="81559",
        pattern=r"(?:NVIDIA )?H100 80GB HBM3"),
    row("h100-pcie", "H100 PCIe 80GB", aliases="H100 PCIe", family_names="H100", memory_mib="81559",
        pattern=r"(?:NVIDIA )?H100 PCIe"),
    row("h200-sxm", "H200 SXM 141GB", aliases="H200 SXM;H200", memory_mib="143771", pattern=r"(?:NVIDIA )?H200"),
    row("l40s", "L40S", aliases="NVIDIA L40S", memory_mib="46068", pattern=r"(?:NVIDIA )?L40S"),
    row("rx-7900-xtx", "Radeon RX 7900 XTX", aliases="7900 XTX;RX 7900 XTX", vendor="amd", memory_mib="24560"),
    row("gb10", "GB10 (DGX Spark)", aliases="GB10;DGX Spark", memory_mib="122070", memory_basis="derived",
        unified_memory="1", memory_gb_per_s="273", pattern=r"(?:NVIDIA )?GB10"),
    row("strix-halo", "Ryzen AI Max+ 395", aliases="Strix Halo", vendor="amd", memory_mib="", memory_basis="",
        unified_memory="1", memory_gb_per_s="256"),
    row("apple-m4-max-32", "Apple M4 Max (32-core GPU)", aliases="M4 Max 32-core", family_names="M4 Max",
        vendor="apple", memory_mib="", memory_basis="", memory_max_gb="36", unified_memory="1",
        memory_gb_per_s="410", pattern=r"Apple M4 Max \(32-core GPU\)"),
    row("apple-m4-max", "Apple M4 Max (40-core GPU)", aliases="M4 Max 40-core", family_names="M4 Max",
        vendor="apple", memory_mib="", memory_basis="", memory_max_gb="128", unified_memory="1",
        memory_gb_per_s="546", pattern=r"Apple M4 Max \(40-core GPU\)"),
)  # fmt: skip


def node_row(node_id: str, name: str, /, **cells: str) -> Mapping[str, str | None]:
    """One row of whole machines, with one H100 unless told otherwise."""
    base: dict[str, str | None] = {
        "id": node_id, "name": name, "aliases": None, "kind": "server", "accelerator_id": "h100-sxm",
        "n_accelerators": "1", "status": "one-source", "source": "test",
    }  # fmt: skip
    return {**base, **cells}


NODE_ROWS = (
    node_row("box", "Big Box", aliases="big.8xlarge", n_accelerators="8", memory_gib="1024", n_threads="192"),
    node_row(
        "mac-64", "Mac Thing 64GB", accelerator_id="apple-m4-max", memory_gib="64", memory_type="unified"
    ),
    node_row("plain", "Plain Server", accelerator_id="", n_accelerators="0", memory_gib="512"),
)
CPU_ROWS: tuple[Mapping[str, str | None], ...] = (
    {"id": "epyc-9654", "name": "EPYC 9654", "aliases": "9654", "vendor": "amd", "n_cores": "96", "n_threads": "192",
     "n_memory_channels": "12", "memory_type": "DDR5", "memory_mt_per_s": "4800", "status": "agree", "source": "test"},
    {"id": "ryzen-9-7950x", "name": "Ryzen 9 7950X", "aliases": "7950X;Ryzen 7950X", "vendor": "amd", "n_cores": "16",
     "n_threads": "32", "n_memory_channels": "2", "memory_type": "DDR5", "memory_mt_per_s": "5200", "status": "agree",
     "source": "test"},
)  # fmt: skip
