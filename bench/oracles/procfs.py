"""Asks MemProcFS about a whole machine: python3 procfs.py DUMP < QUESTIONS

It finds the offsets of the kernel's structures by itself, without symbols. It prints its
processes, their modules and what it found of an EPROCESS; each line "v PID VA" on standard
input is answered with the physical address, and 16 bytes there.
"""
import sys

import memprocfs

PAGE = 0x1000


def main():
    vmm = memprocfs.Vmm(
        ["-device", sys.argv[1], "-disable-symbolserver", "-disable-infodb", "-disable-yara", "-disable-python"]
    )
    print("build", vmm.kernel.build)
    for p in sorted(vmm.process_list(), key=lambda p: p.pid):
        print("process", p.pid, p.ppid, hex(p.eprocess), hex(p.dtb), p.name)
        try:
            print("command", p.pid, p.cmdline.strip())
        except RuntimeError:
            pass  # a process without user memory
        for m in p.module_list():
            print("module", p.pid, hex(m.base), hex(m.image_size), m.name)
    spaces = {}
    for line in sys.stdin:
        _, pid, va = line.split()
        pid, va = int(pid), int(va, 16)
        space = spaces.setdefault(pid, vmm.process(pid).memory)
        try:
            pa = hex(space.virt2phys(va))
            data = space.read(va, 16).hex()
        except RuntimeError:
            pa, data = "-", "-"
        print("v", pid, hex(va), pa, data)
    vmm.close()


main()
