"""Asks the package leechcorepyc about a dump: python3 leechcore.py DUMP < QUESTIONS

What its header says is printed first. Each line "p PA" on standard input is answered with
the first 16 bytes at that physical address, or "-" where the page is not there.
"""
import sys

import leechcorepyc
from leechcorepyc import LeechCore

PAGE = 0x1000
HEADER = {
    "cr3": leechcorepyc.LC_OPT_MEMORYINFO_OS_DTB,
    "build": leechcorepyc.LC_OPT_MEMORYINFO_OS_VERSION_MINOR,
    "machine": leechcorepyc.LC_OPT_MEMORYINFO_OS_MACHINE_IMAGE_TP,
    "processors": leechcorepyc.LC_OPT_MEMORYINFO_OS_NUM_PROCESSORS,
    "debuggerdata": leechcorepyc.LC_OPT_MEMORYINFO_OS_KdDebuggerDataBlock,
    "time": leechcorepyc.LC_OPT_MEMORYINFO_OS_SYSTEMTIME,
    "uptime": leechcorepyc.LC_OPT_MEMORYINFO_OS_UPTIME,
}


def main():
    core = LeechCore(sys.argv[1])
    runs = [(r["base"], r["base"] + r["size"]) for r in core.memmap]
    print("pages", sum(end - base for base, end in runs) // PAGE)
    for name, option in HEADER.items():
        try:
            print(name, hex(core.get_option(option)))
        except RuntimeError:
            pass  # a core of a virtual machine: LeechCore does not look for a header in it
    for line in sys.stdin:
        kind, pa = line.split()
        assert kind == "p", line
        pa = int(pa, 16)
        page = pa & -PAGE
        text = "-"
        if any(base <= pa < end for base, end in runs):
            # It reads whole pages. 16 bytes never cross one here.
            text = core.read(page, PAGE)[pa - page : pa - page + 16].hex()
        print("p", hex(pa), text)


main()
