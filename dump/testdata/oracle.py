"""Asks independent readers of crash dumps: kdmp-parser and Volatility 3.

Standard input: one JSON object a line {file, arch, pae, type, root, addresses}.
Standard output: a line "reader file address physical bytes" for each address;
"-" where the reader finds nothing.
"""
import json
import sys

import kdmp_parser
from volatility3.framework import contexts
from volatility3.framework.layers import crash, intel, physical


def kdmp(q):
    dump = kdmp_parser.KernelDumpParser(q["file"])

    def read(va):
        pa = dump.translate_virtual(va)
        page = dump.read_physical_page(pa & ~0xFFF) if pa is not None else None
        if page is None:
            return None
        return pa, bytes(page)[pa & 0xFFF:(pa & 0xFFF) + 8]

    return read


def volatility(q):
    context = contexts.Context()
    context.config["a.location"] = "file://" + q["file"]
    context.add_layer(physical.FileLayer(context, "a", "file"))
    context.config["b.base_layer"] = "file"
    wide = q["arch"] == 0x8664
    layer = crash.WindowsCrashDump64Layer if wide else crash.WindowsCrashDump32Layer
    context.add_layer(layer(context, "b", "physical"))
    context.config["c.memory_layer"] = "physical"
    context.config["c.page_map_offset"] = q["root"]
    tables = intel.WindowsIntel32e if wide else intel.WindowsIntelPAE if q["pae"] else intel.WindowsIntel
    context.add_layer(tables(context, "c", "virtual"))
    virtual = context.layers["virtual"]

    def read(va):
        va &= (1 << 48) - 1
        try:
            return virtual.translate(va)[0], virtual.read(va, 8)
        except Exception:
            return None

    return read


for line in sys.stdin:
    q = json.loads(line)
    readers = []
    if q["arch"] == 0x8664 and q["type"] != 2:  # of others it knows nothing
        readers.append(("kdmp-parser", kdmp(q)))
    if q["type"] in (1, 5):
        readers.append(("volatility3", volatility(q)))
    for name, read in readers:
        for va in q["addresses"]:
            got = read(va)
            text = "-" if got is None else "%x %s" % (got[0], got[1].hex())
            print(name, q["file"], "%x" % va, text)
