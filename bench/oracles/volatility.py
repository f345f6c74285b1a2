"""Asks the layers of volatility3 about a dump: python3 volatility.py DUMP < QUESTIONS

Each line on standard input is answered with a line:

    p PA        the first 16 bytes at a physical address
    v CR3 VA    the physical address, and 16 bytes there

A page that is not there is answered with "-".
"""
import pathlib
import sys

from volatility3.framework import contexts, exceptions
from volatility3.framework.layers import crash, elf, intel, physical


def physical_layer(context, path):
    """Stacks the layer of the dump's kind on the file."""
    context.config["file.location"] = pathlib.Path(path).absolute().as_uri()
    context.layers.add_layer(physical.FileLayer(context, "file", "file"))
    context.config["dump.base_layer"] = "file"
    is_elf = context.layers["file"].read(0, 4) == b"\x7fELF"
    kind = elf.Elf64Layer if is_elf else crash.WindowsCrashDump64Layer
    context.layers.add_layer(kind(context, "dump", "dump"))


def space(context, cr3):
    """Returns the layer of a process's address space."""
    name = f"space{cr3:x}"
    if name not in context.layers:
        context.config[f"{name}.memory_layer"] = "dump"
        context.config[f"{name}.page_map_offset"] = cr3
        context.layers.add_layer(intel.WindowsIntel32e(context, name, name))
    return context.layers[name]


def read(layer, at):
    try:
        return layer.read(at, 16).hex()
    except exceptions.InvalidAddressException:
        return "-"


def main():
    context = contexts.Context()
    physical_layer(context, sys.argv[1])
    for line in sys.stdin:
        kind, *numbers = line.split()
        numbers = [int(n, 16) for n in numbers]
        if kind == "p":
            print("p", hex(numbers[0]), read(context.layers["dump"], numbers[0]))
            continue
        layer, va = space(context, numbers[0]), numbers[1] & (1 << 48) - 1
        try:
            pa = hex(layer.translate(va)[0])
        except exceptions.InvalidAddressException:
            pa = "-"
        print("v", hex(numbers[1]), pa, read(layer, va) if pa != "-" else "-")


main()
