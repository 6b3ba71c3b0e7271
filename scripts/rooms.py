"""Print the rooms of the package: its import graph by folders, with type-only imports counted.

    python scripts/rooms.py [SOURCE]     # default: src/finegrid

A room is a folder with modules; the modules at the top are one room. An arrow leads from a room to another
that it imports. A floor is the longest way down from a room. An arrow leads up where the order of the rooms
(``ROOMS`` in tests/test_architecture.py) says that the imported room comes later, or does not name one.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

PACKAGE = "finegrid"
SOURCE = Path(__file__).parent.parent / "src" / PACKAGE
ORDER = Path(__file__).parent.parent / "tests" / "test_architecture.py"
TOP = "."  # the room of the modules that lie at the top


def find_modules(source: Path, package: str = PACKAGE) -> dict[str, Path]:
    """Every module by its dotted name; packages by the name of their folder."""
    modules = {}
    for path in sorted(source.rglob("*.py")):
        if path.name == "__main__.py":  # the door of the house, in no room: Python wants it at the top
            continue
        parts = path.relative_to(source).with_suffix("").parts
        modules[".".join([package, *(part for part in parts if part != "__init__")]).strip(".")] = path
    return modules


def find_imports(path: Path, modules: Mapping[str, Path]) -> Iterator[str]:
    """The modules of the package that one module imports, wherever the import stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom) and node.module in modules:
            for alias in node.names:
                deeper = f"{node.module}.{alias.name}"
                yield deeper if deeper in modules else str(node.module)


def import_graph(source: Path = SOURCE, package: str = PACKAGE) -> dict[str, set[str]]:
    """By module, the modules that it imports."""
    modules = find_modules(source, package)
    # What the package itself gives to users by name is imported from rooms when they ask for it.
    return {
        name: set() if name == package else {*find_imports(path, modules)} - {name}
        for name, path in modules.items()
    }


def room_of(module: str, source: Path = SOURCE) -> str:
    """The folder that a module lies in, such as ``model/kernels``."""
    parts = module.split(".")[1:]
    if not (source.joinpath(*parts)).is_dir():
        parts = parts[:-1]
    return "/".join(parts) or TOP


def room_graph(modules: Mapping[str, set[str]], source: Path = SOURCE) -> dict[str, set[str]]:
    """By room, the other rooms that it imports."""
    rooms: dict[str, set[str]] = {}
    for module, imported in modules.items():
        room = room_of(module, source)
        rooms.setdefault(room, set()).update({room_of(name, source) for name in imported} - {room})
    return rooms


def find_circles(graph: Mapping[str, set[str]]) -> list[set[str]]:
    """Groups of nodes that import each other, directly or by way of others."""
    reached = {node: reach(node, graph) for node in graph}
    circles = {frozenset(b for b in reached[a] if a in reached[b]) for a in graph if a in reached[a]}
    return [set(circle) for circle in circles]


def reach(start: str, graph: Mapping[str, set[str]]) -> set[str]:
    """Everything that a node leads to; itself only if it lies in a circle."""
    seen: set[str] = set()
    waiting = [*graph.get(start, ())]
    while waiting:
        node = waiting.pop()
        if node not in seen:
            seen.add(node)
            waiting += graph.get(node, ())
    return seen


def floors_of(graph: Mapping[str, set[str]]) -> dict[str, int]:
    """By room its floor: 1 where it imports none, else one above the highest that it imports.

    Raises:
        CycleError: the rooms have a circle, and then no floors.
    """
    floors: dict[str, int] = {}
    for room in TopologicalSorter(graph).static_order():
        floors[room] = 1 + max((floors[below] for below in graph.get(room, ())), default=0)
    return floors


def arrows_up(graph: Mapping[str, set[str]], order: list[str]) -> list[tuple[str, str]]:
    """Imports of a room that comes later in the order, or that the order does not name."""
    place = {room: number for number, room in enumerate(order)}
    return sorted(
        (room, below)
        for room, imported in graph.items()
        for below in imported
        if place.get(below, len(order)) >= place.get(room, -1)
    )


def declared_order(path: Path = ORDER) -> list[str]:
    """``ROOMS``, read without importing the tests.

    Raises:
        LookupError: the file assigns no list to that name.
    """
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "ROOMS":
            return list(ast.literal_eval(node.value))
    raise LookupError(f"{path} assigns no ROOMS")


def main(source: Path) -> None:
    modules = import_graph(source)
    rooms = room_graph(modules, source)
    circles = find_circles(modules) + find_circles(rooms)
    try:
        floors = floors_of(rooms)
    except CycleError:
        floors = {}
    for floor in sorted(set(floors.values()), reverse=True):
        print(f"floor {floor:2}  {'  '.join(sorted(room for room in rooms if floors[room] == floor))}")
    print(f"rooms {len(rooms)}, floors {max(floors.values(), default='none')}", end=", ")
    print(f"arrows {sum(map(len, rooms.values()))}", end=", ")
    print(f"arrows up {len(arrows_up(rooms, declared_order()))}, circles {len(circles)}")
    for circle in circles:
        print(f"circle: {', '.join(sorted(circle))}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else SOURCE)
