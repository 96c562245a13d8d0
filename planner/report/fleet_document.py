"""A fleet as a document: like machines on one line, and each that cannot be used; and answers for its kinds."""

from collections import Counter
from collections.abc import Sequence

from hardware.fleet import Fleet, MachineGroup, gpu_label, like_machines, machine_label
from hardware.fleet_json import FLEET_SCHEMA, fleet_to_json_data
from hardware.spec import Machine
from planner.report.document import Cell, Document, Table, listed
from planner.report.quantities import size

_MAX_NAMES = 4


def fleet_document(fleet: Fleet) -> Document:
    """How many machines of which kind, in a table; the data hold each of them."""
    groups = like_machines(fleet)
    tables = [
        Table(
            title="",
            headers=("machines", "GPUs", "processor", "RAM", "names"),
            rows=tuple(
                (
                    f"{group.count} ×",
                    _gpus(group.machine),
                    _processor(group.machine),
                    _memory(group.machine),
                    _names(group),
                )
                for group in groups
            ),
        )
    ]
    unusable = [
        (member.name, machine_label(member.machine) if member.machine else "unknown", member.problem)
        for member in fleet.members
        if member.problem
    ]
    if unusable:
        tables.append(
            Table(title="Not usable now", headers=("name", "what it is", "why"), rows=tuple(unusable))
        )
    shared = Counter(note for member in fleet.usable if member.machine for note in member.machine.problems)
    return Document(
        schema=FLEET_SCHEMA,
        title=f"The fleet of {fleet.source}",
        answer=(_sentence(fleet, groups),),
        tables=tuple(tables),
        notes=(*fleet.problems, *(_counted(note, count) for note, count in shared.items())),
        data=fleet_to_json_data(fleet),
    )


def fleet_answers_document(fleet: Fleet, answers: Sequence[tuple[MachineGroup, Document]]) -> Document:
    """One document from the answers for each kind of machine, in their order; the data hold each whole."""
    first = answers[0][1]
    tables = []
    for group, document in answers:
        tables += [
            Table(
                title=f"{group.label}: {table.title}" if table.title else group.label,
                headers=table.headers,
                rows=table.rows,
                right=table.right,
            )
            for table in document.tables[:1]
        ]
    joined = _joined(answers)
    unusable = [f"left out: {member.name}: {member.problem}" for member in fleet.members if member.problem]
    return Document(
        schema=f"planner.fleet-{first.schema.removeprefix('planner.')}",
        title=f"{fleet.source}: {listed([group.label for group, _ in answers])}",
        answer=tuple(
            f"{group.label}: {sentence}" for group, document in answers for sentence in document.answer[:1]
        ),
        tables=(joined,) if joined else tuple(tables),
        notes=tuple(
            dict.fromkeys((*fleet.problems, *unusable, *(note for _, one in answers for note in one.notes)))
        ),
        data={
            "fleet": fleet.source,
            "answers": [
                {"machines": list(group.names), "count": group.count, "label": group.label, **document.data}
                for group, document in answers
            ],
        },
    )


def _joined(answers: Sequence[tuple[MachineGroup, Document]]) -> Table | None:
    """The main tables below each other with a column that says which machine, where their headers are the same."""
    tables = [(group, document.main_table) for group, document in answers]
    headers = {table.headers for _, table in tables if table}
    if len(headers) != 1:
        return None
    rows: list[tuple[Cell, ...]] = [
        (f"{group.count} × {_gpus(group.machine)}", *row)
        for group, table in tables
        if table is not None
        for row in table.rows
    ]
    right = next(table.right for _, table in tables if table)
    return Table(
        title="",
        headers=("machines", *headers.pop()),
        rows=tuple(rows),
        right=tuple(column + 1 for column in right),
    )


def _sentence(fleet: Fleet, groups: Sequence[MachineGroup]) -> str:
    n_bad = len(fleet.members) - len(fleet.usable)
    bad = f"; {n_bad} cannot be used now" if n_bad else ""
    if not groups:
        return f"{fleet.source} has no machine that can be planned with{bad}."
    n = len(fleet.usable)
    kinds = listed([group.label for group in groups])
    return f"{fleet.source} has {n} usable machine{'s' if n > 1 else ''}: {kinds}{bad}."


def _gpus(machine: Machine) -> str:
    counts = Counter(gpu_label(gpu) for gpu in machine.gpus)
    return " + ".join(f"{n}x {name}" if n > 1 else name for name, n in counts.items()) or "no GPU"


def _processor(machine: Machine) -> str:
    return f"{machine.cpu.model}, {machine.cpu.n_usable_threads} threads" if machine.cpu else "unknown"


def _memory(machine: Machine) -> str:
    return size(machine.memory.usable_bytes if machine.memory else None)


def _names(group: MachineGroup) -> str:
    more = f" and {group.count - _MAX_NAMES} more" if group.count > _MAX_NAMES else ""
    return ", ".join(group.names[:_MAX_NAMES]) + more


def _counted(note: str, count: int) -> str:
    return f"{note} ({count} machines)" if count > 1 else note
