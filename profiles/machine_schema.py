"""What a row of the whole machines (nodes.csv) and of the processors (cpus.csv) must look like.

Facts come with their source and date per row, and `recalled` names the columns that no opened source gave.
"""

from profiles.schema import Column, Row, check_cells, number, problem

# In a row's `status`: two sources agree; they disagree; one only; none was opened; parts chosen as an example.
NODE_STATUSES = ("agree", "conflict", "one-source", "recalled", "typical")

NODE_COLUMNS = (
    Column(name="id", kind="slug", required=True),
    Column(name="name", required=True),
    Column(name="aliases", kind="list"),
    Column(
        name="kind",
        kind="choice",
        required=True,
        choices=("server", "rack", "cloud", "workstation", "desktop", "laptop"),
    ),
    Column(name="accelerator_id", kind="slug"),
    Column(name="n_accelerators", kind="int", required=True, high=1024),
    Column(name="cpu_model"),
    Column(name="n_sockets", kind="int", low=1, high=1024),
    Column(name="n_physical_cores", kind="int", low=1, high=100_000),
    Column(name="n_threads", kind="int", low=1, high=200_000),
    Column(name="memory_gib", kind="float", low=1, high=900_000),  # empty for a part of main memory's size
    Column(name="memory_type"),
    Column(name="memory_mt_per_s", kind="float", low=200, high=20_000),
    Column(name="n_memory_channels", kind="int", low=1, high=1024),  # of all sockets, 64 bits each
    Column(name="memory_gb_per_s", kind="float", low=10, high=900_000),  # where it is not type x channels
    Column(name="gpu_link"),
    Column(name="gpu_link_gb_per_s", kind="float", low=1, high=10_000),  # one way, of each accelerator
    Column(name="n_nics", kind="int", low=1, high=1024),
    Column(name="nic_gbit_per_s", kind="float", low=1, high=10_000),  # one way, each
    Column(name="nvme_gb", kind="float", low=1, high=9_000_000),
    Column(name="recalled", kind="list"),  # columns that stand here from memory, no source opened
    Column(name="status", kind="choice", required=True, choices=NODE_STATUSES),
    Column(name="checked_on", kind="date"),
    Column(name="source", required=True),
    Column(name="note"),
)
CPU_COLUMNS = (
    Column(name="id", kind="slug", required=True),
    Column(name="name", required=True),
    Column(name="aliases", kind="list"),
    Column(name="vendor", kind="slug", required=True),
    Column(name="n_cores", kind="int", required=True, low=1, high=1024),
    Column(name="n_threads", kind="int", required=True, low=1, high=2048),
    Column(name="n_memory_channels", kind="int", required=True, low=1, high=64),
    Column(name="memory_type", required=True),
    Column(name="memory_mt_per_s", kind="float", required=True, low=200, high=20_000),
    Column(name="instruction_sets", kind="list"),
    Column(name="status", required=True),
    Column(name="checked_on", kind="date"),
    Column(name="source", required=True),
    Column(name="note"),
)


def check_node(row: Row, file: str) -> None:
    """Refuse a whole machine whose cells, or their relation to each other, cannot be right."""
    check_cells(row, NODE_COLUMNS, file)
    if (row["accelerator_id"] is None) != (row["n_accelerators"] == "0"):
        raise problem(
            file,
            row["id"],
            "accelerator_id",
            row["accelerator_id"],
            "an id exactly when n_accelerators is not 0",
        )
    if (row["n_memory_channels"] is None) != (row["memory_mt_per_s"] is None):
        expected = "a number exactly when memory_mt_per_s is given"
        raise problem(file, row["id"], "n_memory_channels", row["n_memory_channels"], expected)
    if row["nic_gbit_per_s"] is not None and row["n_nics"] is None:
        raise problem(file, row["id"], "n_nics", "nothing", "how many, as nic_gbit_per_s is given")
    cores, threads = number(row["n_physical_cores"]), number(row["n_threads"])
    if cores is not None and threads is not None and not cores <= threads <= 4 * cores:
        raise problem(file, row["id"], "n_threads", row["n_threads"], f"from {cores:g} to four times that")
    names = {column.name for column in NODE_COLUMNS}
    for name in (row["recalled"] or "").split(";"):
        if name and name not in names:
            raise problem(file, row["id"], "recalled", name, "names of columns")


NODE_SITE_COLUMNS = (
    Column(name="id", kind="slug", required=True),
    Column(name="node_id", kind="slug", required=True),
    Column(name="rack_units", kind="int", low=1, high=60),
    Column(name="max_power_w", kind="float", low=10, high=500_000),
    Column(name="recalled", kind="list"),
    Column(name="checked_on", kind="date", required=True),
    Column(name="source", required=True),
    Column(name="note"),
)
ENGINE_IMAGE_COLUMNS = (
    Column(name="id", kind="slug", required=True),
    Column(name="engine", kind="choice", required=True, choices=("vllm", "sglang")),
    Column(name="vendor", kind="choice", required=True, choices=("nvidia", "amd", "intel")),
    Column(name="image", required=True),
    Column(name="tag", required=True),
    Column(name="checked_on", kind="date", required=True),
    Column(name="source", required=True),
    Column(name="note"),
)


def check_node_site(row: Row, file: str) -> None:
    """Refuse what a machine needs of its room where a cell cannot be right."""
    check_cells(row, NODE_SITE_COLUMNS, file)
    names = {column.name for column in NODE_SITE_COLUMNS}
    for name in (row["recalled"] or "").split(";"):
        if name and name not in names:
            raise problem(file, row["id"], "recalled", name, "names of columns")


def check_engine_image(row: Row, file: str) -> None:
    """Refuse a container image whose cells cannot be right."""
    check_cells(row, ENGINE_IMAGE_COLUMNS, file)
    if "{version}" not in (row["tag"] or ""):
        raise problem(file, row["id"], "tag", row["tag"], "a tag with {version} in it")


def check_cpu(row: Row, file: str) -> None:
    """Refuse a processor whose cells, or their relation to each other, cannot be right."""
    check_cells(row, CPU_COLUMNS, file)
    if float(row["n_threads"] or 0) < float(row["n_cores"] or 0):
        raise problem(file, row["id"], "n_threads", row["n_threads"], f"at least n_cores, {row['n_cores']}")
