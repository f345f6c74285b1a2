#!/usr/bin/env python3
"""gen.py types ARCH BUILD > types.h: the structures of layouts.tsv for a compiler, so that a symbol file gets them.
gen.py symbols -- IMAGE...: from IMAGE.map, IMAGE.sym: the symbols and calls of a linked image, for Go."""
import os
import re
import subprocess
import sys

SIZES = {'u8': 1, 'u16': 2, 'u32': 4, 'u64': 8, 'i8': 1, 'i16': 2, 'i32': 4, 'i64': 8, 'wchar': 2, 'f32': 4, 'f64': 8}
ENUMS = '''typedef enum _KTHREAD_STATE { Initialized, Ready, Running, Standby, Terminated, Waiting, Transition, DeferredReady, GateWaitObsolete, WaitingForProcessInSwap } KTHREAD_STATE;
typedef enum _KWAIT_REASON { Executive, FreePage, PageIn, PoolAllocation, DelayExecution, Suspended, UserRequest, WrExecutive, WrFreePage, WrPageIn, WrPoolAllocation, WrDelayExecution, WrSuspended, WrUserRequest, WrEventPair, WrQueue, WrLpcReceive, WrLpcReply, WrVirtualMemory, WrPageOut, WrRendezvous, WrKeyedEvent, WrTerminated, WrProcessInSwap, WrCpuRateControl, WrCalloutStack, WrKernel, WrResource, WrPushLock, WrMutex, WrQuantumEnd, WrDispatchInt, WrPreempted, WrYieldExecution, WrFastMutex, WrGuardedMutex, WrRundown, WrAlertByThreadId, WrDeferredPreempt } KWAIT_REASON;
typedef enum _POOL_TYPE { NonPagedPool, PagedPool, NonPagedPoolMustSucceed, DontUseThisType, NonPagedPoolCacheAligned, PagedPoolCacheAligned, NonPagedPoolCacheAlignedMustS, MaxPoolType, NonPagedPoolNx = 512 } POOL_TYPE;'''


def layouts(arch, build):
    """Reads the table: structure → (size, [(field, offset, type)])."""
    found, name, column = {}, '', 0
    for line in open(os.path.join(os.path.dirname(__file__), 'layouts.tsv')):
        row = line.rstrip('\n').split('\t')
        if line.startswith('# structure'):
            column = row.index('%s %s' % (arch, build))
        if line.startswith('#'):
            continue
        name = row[0] or name
        while row[column] == '=':
            row[column] = row[column - 1] if column == 3 else next(v for v in reversed(row[3:column]) if v != '=')
        if row[column] == '-':
            continue
        if row[1] == 'sizeof':
            found[name] = (int(row[column], 16), [])
        elif name in found:
            found[name][1].append((row[1], int(row[column], 16), row[2]))
    return found


def split(kind):
    return re.match(r'([^*\[:]+)(\**)((?:\[\d+\])*)', kind).groups()


class Writer:
    """Writes structures so that each field is where the table says; what lies between is unnamed bits."""

    def __init__(self, table):
        self.table, self.out, self.done = table, [], set()

    def size(self, kind):
        base, stars, dims = split(kind)
        one = 8 if stars else SIZES.get(base) or self.table[base][0]
        for n in re.findall(r'\d+', dims):
            one *= int(n)
        return one

    def pad(self, n):
        self.out.append('u64:64;' * (n // 8) + 'u8:8;' * (n % 8))

    def tree(self, fields):
        """Puts dotted fields under their unnamed structure."""
        top, groups = [], {}
        for path, offset, kind in fields:
            if '.' in path:
                head, rest = path.split('.', 1)
                groups.setdefault(head, []).append((rest, offset, kind))
            else:
                top.append((path, offset, kind))
        items = []
        for name, offset, kind in top:
            if kind != 'nested':
                items.append((offset, offset + self.size(kind.split(':')[0]), name, kind))
                continue
            inner = [i for i in self.tree(groups.get(name, [])) if i[0] >= offset]
            if inner:
                items.append((offset, max(i[1] for i in inner), name, inner))
        return items

    def body(self, items, begin, end):
        """Writes fields in the order of offsets; those that overlap become a union of layers."""
        items = sorted((i for i in items if i[0] >= begin and i[1] <= end), key=lambda i: i[0])
        at = begin
        while items:
            start, limit, cluster = items[0][0], items[0][1], []
            while items and (items[0][0] < limit or not cluster):
                cluster.append(items.pop(0))
                limit = max(limit, cluster[-1][1])
            self.pad(start - at)
            at = limit
            layers = []
            for item in cluster:
                for layer in layers:
                    if self.fits(layer, item):
                        layer.append(item)
                        break
                else:
                    layers.append([item])
            if len(layers) == 1:
                self.layer(layers[0], start)
                continue
            self.out.append('union {')
            for layer in layers:
                self.out.append('struct {')
                self.layer(layer, start)
                self.out.append('};')
            self.out.append('};')
        return at

    @staticmethod
    def fits(layer, item):
        last = layer[-1]
        if last[1] <= item[0]:
            return True
        bits, before = item[3], last[3]
        if isinstance(bits, str) and isinstance(before, str) and ':' in bits and ':' in before and last[0] == item[0]:
            b, p = bits.split(':'), before.split(':')
            return b[0] == p[0] and int(b[1]) >= int(p[1]) + int(p[2])
        return False

    def layer(self, items, at):
        bit = 0
        for start, end, name, kind in items:
            if isinstance(kind, str) and ':' in kind:
                base, pos, length = kind.split(':')
                if at <= start:
                    self.pad(start - at)
                    at, bit = end, 0
                    self.out.append('struct {')
                elif self.out[-1] == '};':
                    self.out.pop()
                if int(pos) > bit:
                    self.out.append('%s:%d;' % (base, int(pos) - bit))
                self.out.append('%s %s:%s;' % (base, name, length))
                bit = int(pos) + int(length)
                self.out.append('};')
                continue
            self.pad(start - at)
            at = end
            if isinstance(kind, list):
                self.out.append('struct %s %s;' % (self.unnamed(name, kind, start, end), name))
                continue
            base, stars, dims = split(kind)
            self.out.append('%s%s %s%s;' % (('struct ' + base) if base in self.table else base, stars, name, dims))
        return at

    def unnamed(self, name, items, start, end):
        """Writes a structure that has no name of its own before the one it lies in: nested ones
        would give records that some readers of symbol files do not know."""
        before, self.out, self.owner = self.out, [], self.owner + '_' + name
        full = '__unnamed' + self.owner
        self.out.append('struct %s {' % full)
        used = self.body(items, start, end)
        self.pad(end - used)
        self.out.append('};')
        self.hoisted += self.out
        self.out, self.owner = before, self.owner[:-len(name) - 1]
        return full

    def define(self, name):
        if name in self.done:
            return
        self.done.add(name)
        size, fields = self.table[name]
        for _, _, kind in fields:
            base, stars, _ = split(kind)
            if base in self.table and not stars:
                self.define(base)
        before, self.out, self.owner, self.hoisted = self.out, [], name, []
        self.out.append('struct %s {' % name)
        at = self.body(self.tree(fields), 0, size)
        self.pad(size - at)
        self.out.append('};')
        self.out = before + self.hoisted + self.out


def types(arch, build):
    table = layouts(arch, build)
    w = Writer(table)
    for name in table:
        w.define(name)
    print('#pragma pack(push, 1)')
    print('typedef signed char i8; typedef short i16; typedef int i32; typedef long long i64; typedef float f32; typedef double f64;')
    print(ENUMS)
    for name in table:
        print('#define HAS%s 1\nstruct %s;' % (name, name))
    print('\n'.join(line for line in w.out if line))
    for name in table:
        print('_Static_assert(sizeof(struct %s) == %d, "%s");' % (name, table[name][0], name))
        for path, offset, kind in table[name][1]:
            if ':' not in kind and kind != 'nested':
                print('_Static_assert(__builtin_offsetof(struct %s, %s) == %d, "%s.%s");' % (name, path, offset, name, path))
    print('#pragma pack(pop)')


def symbols(image):
    names, base, lines = {}, None, []
    for line in open(image + '.map'):
        m = re.match(r'\s*Preferred load address is ([0-9a-f]+)', line)
        if m:
            base = int(m[1], 16)
        m = re.match(r'\s*[0-9a-f]{4}:[0-9a-f]{8}\s+(\S+)\s+([0-9a-f]{16})\s', line)
        if m and m[1][0] not in '.?$' and int(m[2], 16) > base:
            names.setdefault(m[1], int(m[2], 16) - base)
    at = {}
    for name, rva in names.items():
        at.setdefault(rva, name)
    for name, rva in sorted(names.items(), key=lambda s: (s[1], s[0])):
        if not name.startswith('__imp_') and not name.startswith('.'):
            lines.append('%x %s\n' % (rva, name))
    text = subprocess.run(['llvm-objdump-19', '-d', '--no-show-raw-insn', image], capture_output=True, text=True, check=True).stdout
    rows = [(int(m[1], 16) - base, m[2], m[3]) for m in re.finditer(r'^\s*([0-9a-f]+):\s+(\S+)(.*)$', text, re.M)]
    pages = {}
    for (rva, op, args), following in zip(rows, rows[1:]):
        # ARM64 loads an import's address by adrp and ldr.
        m = re.match(r'\s+(x\d+), 0x([0-9a-f]+)', args)
        if op == 'adrp' and m:
            pages[m[1]] = int(m[2], 16)
        m = re.match(r'\s+(x\d+), \[(x\d+)(?:, #0x([0-9a-f]+))?\]', args)
        if op == 'ldr' and m:
            pages[m[1]] = 'slot', pages.get(m[2]), int(m[3] or '0', 16)
        # x64 may keep one in a register, when it is called twice.
        m = re.match(r'\s+(?:-?0x[0-9a-f]+)?\(%rip\), (%r\w+)\s+# 0x([0-9a-f]+)', args)
        if op == 'movq' and m:
            pages[m[1]] = 'slot', int(m[2], 16), 0
        elif op not in ('adrp', 'ldr') and ', %' in args:
            pages.pop(args.split(', ')[-1].split()[0], None)
        if op not in ('callq', 'bl', 'blr'):
            continue
        m = re.search(r'0x([0-9a-f]+)(?: <[^>]*>)?$', args)
        target = int(m[1], 16) - base if m else 0
        if op == 'blr' or op == 'callq' and not m:
            slot = pages.get(args.strip().lstrip('*'))
            target = slot[1] + slot[2] - base if isinstance(slot, tuple) and isinstance(slot[1], int) else 0
        callee = at.get(target, '*')
        lines.append('call %x %s\n' % (following[0], callee[6:] if callee.startswith('__imp_') else callee))
    with open(image + '.sym', 'w') as out:
        out.writelines(lines)


if sys.argv[1] == 'types':
    types(sys.argv[2], sys.argv[3])
else:
    for path in sys.argv[3:]:
        symbols(path)
