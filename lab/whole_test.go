package lab

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"sort"
	"strings"
	"testing"
	"unicode/utf16"

	"bugcheck/lab/code"
	"bugcheck/lab/ram"
)

var wholeBuilds = []struct {
	arch  string
	build int
}{{"x64", 17763}, {"x64", 19041}, {"x64", 20348}, {"x64", 22621}, {"x64", 26100}, {"arm64", 22000}, {"arm64", 26100}}

// looker reads a machine's memory for a test; where it cannot, the test ends.
type looker struct {
	t *testing.T
	*System
	space *ram.Space
}

func (l looker) bytes(va uint64, n int) []byte {
	l.t.Helper()
	b := make([]byte, n)
	if err := l.space.Read(va, b); err != nil {
		l.t.Fatal(err)
	}
	return b
}

func (l looker) u64(va uint64) uint64 {
	l.t.Helper()
	return binary.LittleEndian.Uint64(l.bytes(va, 8))
}
func (l looker) u32(va uint64) uint32 {
	l.t.Helper()
	return binary.LittleEndian.Uint32(l.bytes(va, 4))
}

// text reads a UNICODE_STRING.
func (l looker) text(va uint64) string {
	l.t.Helper()
	b := l.bytes(l.u64(va+8), int(binary.LittleEndian.Uint16(l.bytes(va, 2))))
	var u []uint16
	for i := 0; i < len(b); i += 2 {
		u = append(u, binary.LittleEndian.Uint16(b[i:]))
	}
	return string(utf16.Decode(u))
}

// walk follows a list both ways and returns its entries' links.
func (l looker) walk(head uint64) []uint64 {
	l.t.Helper()
	var all []uint64
	for at := l.u64(head); at != head; at = l.u64(at) {
		all = append(all, at)
		if l.u64(l.u64(at+8)) != at || len(all) > 10000 {
			l.t.Fatalf("list at %#x is torn at %#x", head, at)
		}
	}
	return all
}

// off is the offset of a field, as TestLayout_Agrees checks it.
func (l looker) off(structure, field string) uint64 {
	l.t.Helper()
	v, ok := l.layout.Field(structure, field)
	if !ok {
		l.t.Fatalf("no field %s.%s", structure, field)
	}
	return v
}

func healthy(t *testing.T, p Plan) looker {
	t.Helper()
	s, err := p.System()
	if err != nil {
		t.Fatal(err)
	}
	return looker{t, s, s.Space}
}

// The two tables of layouts come from the same sources: where both know a field, they agree.
func TestLayout_Agrees(t *testing.T) {
	for _, b := range wholeBuilds {
		l, err := newLayout(b.arch, b.build)
		if err != nil {
			t.Fatal(err)
		}
		images, err := code.Open(b.arch, b.build)
		if err != nil {
			t.Fatal(err)
		}
		both := 0
		for k, v := range l.fields {
			structure, field, _ := strings.Cut(k, " ")
			if n, ok := images.Field(structure, field); ok {
				both++
				if uint64(n) != v {
					t.Errorf("%v: %s is %#x, in the symbol file %#x", b, k, v, n)
				}
			}
		}
		if both < 100 {
			t.Errorf("%v: %d fields in common", b, both)
		}
	}
}

func TestSystem_Lists(t *testing.T) {
	for _, b := range wholeBuilds {
		l := healthy(t, Plan{Arch: b.arch, Build: b.build, Memory: 4 << 30})
		var names []string
		for _, e := range l.walk(l.Symbol("PsLoadedModuleList")) {
			base := l.u64(e + 0x30)
			names = append(names, l.text(e+0x58))
			if m := l.bytes(base, 2); string(m) != "MZ" || l.u32(e+0x40) != l.u32(base+uint64(l.u32(base+0x3c))+0x50) {
				t.Errorf("%v: module %s at %#x: %q, size %#x", b, l.text(e+0x58), base, m, l.u32(e+0x40))
			}
		}
		if len(names) < 60 || names[0] != "ntoskrnl.exe" || names[len(names)-1] != "myfault.sys" {
			t.Errorf("%v: modules %q", b, names)
		}
		l.processes(b.arch, b.build)
	}
}

// processes checks PsActiveProcessHead, the threads of each, and what leads to the exited one.
func (l looker) processes(arch string, build int) {
	l.t.Helper()
	var names []string
	threads := 0
	links := l.off("_EPROCESS", "ActiveProcessLinks")
	for _, e := range l.walk(l.Symbol("PsActiveProcessHead")) {
		p := e - links
		name := string(bytes.TrimRight(l.bytes(p+l.off("_EPROCESS", "ImageFileName"), 15), "\x00"))
		names = append(names, name)
		list := l.walk(p + l.off("_EPROCESS", "ThreadListHead"))
		if n := l.u32(p + l.off("_EPROCESS", "ActiveThreads")); int(n) != len(list) {
			l.t.Errorf("%s %d: %s has %d threads, its list %d", arch, build, name, n, len(list))
		}
		exited := l.u64(p+l.off("_EPROCESS", "ExitTime")) != 0
		if exited != (name == "mmc.exe") {
			l.t.Errorf("%s %d: %s exited: %v", arch, build, name, exited)
		}
		for _, e := range list {
			threads++
			l.thread(e-l.off("_ETHREAD", "ThreadListEntry"), p, name)
		}
	}
	if len(names) != 19 || names[0] != "System" || names[17] != "notmyfault64.e" || threads < 150 {
		l.t.Errorf("%s %d: %d threads, processes %q", arch, build, threads, names)
	}
}

// thread checks that a thread belongs to its process, and that a waiting one's stack leads
// into the kernel and its wait block to an object that leads back.
func (l looker) thread(t, process uint64, name string) {
	l.t.Helper()
	k := func(field string) uint64 { return l.u64(t + l.off("_KTHREAD", field)) }
	if got := l.u64(t + l.off("_ETHREAD", "Cid")); k("Process") != process || got != l.u64(process+l.off("_EPROCESS", "UniqueProcessId")) {
		l.t.Errorf("thread %#x of %s says process %#x, id %d", t, name, k("Process"), got)
	}
	if state := l.bytes(t+l.off("_KTHREAD", "State"), 1)[0]; state != stateWaiting {
		return
	}
	sp := k("KernelStack")
	ret := sp + 0x38
	if l.Arch == "arm64" {
		ret = sp + 0x18
	}
	m := l.Modules[0]
	if pc := l.u64(ret); sp < k("StackLimit") || sp >= k("StackBase") || pc < m.Base || pc >= m.Base+uint64(m.Size) {
		l.t.Errorf("thread %#x of %s: its stack at %#x returns to %#x", t, name, sp, pc)
	}
	block := k("WaitBlockList")
	if l.u64(block+0x18) != t || l.u64(l.u64(block+0x20)+8) != block {
		l.t.Errorf("thread %#x of %s: wait block at %#x", t, name, block)
	}
}

func TestSystem_UserHalf(t *testing.T) {
	for _, b := range wholeBuilds {
		l := healthy(t, Plan{Arch: b.arch, Build: b.build, Memory: 4 << 30})
		p := l.Process("NOTMYFAULT64.EXE")
		u := looker{t, l.System, p.Space}
		peb := u.u64(p.Address + u.off("_EPROCESS", "Peb"))
		if got := u.text(u.u64(peb+0x20) + 0x70); got != p.CommandLine {
			t.Errorf("%v: command line %q", b, got)
		}
		var names []string
		for _, e := range u.walk(u.u64(peb+0x18) + 0x10) {
			names = append(names, u.text(e+0x58))
			if got := u.bytes(u.u64(e+0x30), 2); string(got) != "MZ" {
				t.Errorf("%v: %s starts with %q", b, names[len(names)-1], got)
			}
		}
		if strings.Join(names, " ") != "notmyfault64.exe ntdll.dll KERNEL32.DLL KERNELBASE.dll" {
			t.Errorf("%v: images %q", b, names)
		}
		if got := u.u32(0x7ffe0260); got&0xffff != uint32(b.build) {
			t.Errorf("%v: build %#x at 7ffe0260", b, got)
		}
		if got := l.text(l.u64(p.Address + l.off("_EPROCESS", "SeAuditProcessCreationInfo"))); got != p.Path {
			t.Errorf("%v: image name %q", b, got)
		}
	}
}

func TestSystem_Processors(t *testing.T) {
	l := healthy(t, Plan{Arch: "x64", Build: 22621, Memory: 4 << 30, Processors: 5})
	for i := uint64(0); i < 5; i++ {
		prcb := l.u64(l.Symbol("KiProcessorBlock") + 8*i)
		context := l.u64(prcb + l.off("_KPRCB", "Context"))
		if n := l.u32(prcb + l.off("_KPRCB", "Number")); uint64(n) != i {
			t.Errorf("processor %d says it is %d", i, n)
		}
		if got := l.bytes(context, 0x4d0); !bytes.Equal(got, l.bytes(prcb+l.off("_KPRCB", "ProcessorState.ContextFrame"), 0x4d0)) {
			t.Errorf("processor %d: the two contexts differ", i)
		}
		if got := l.u64(prcb + 0x100 + 0x10); got != l.System.Processors[i].Thread.Process.directory() {
			t.Errorf("processor %d: cr3 %#x", i, got)
		}
	}
	thread := l.Process("lsass.exe").Threads[1]
	if err := l.Run(thread, l.System.Processors[0], 2); err != nil {
		t.Fatal(err)
	}
	if got := l.u64(l.System.Processors[0].Address + 8); got != thread.Address {
		t.Errorf("the thread that runs is %#x, want %#x", got, thread.Address)
	}
}

func TestSystem_QueueDPC(t *testing.T) {
	for _, b := range wholeBuilds {
		l := healthy(t, Plan{Arch: b.arch, Build: b.build, Memory: 1 << 30})
		p := l.System.Processors[0]
		data := p.Address + l.off("_KPRCB", "DpcData")
		before := l.u32(data + l.off("_KDPC_DATA", "DpcCount"))
		var want [2]uint64
		for i := range want {
			var err error
			if want[i], err = l.QueueDPC(p, vaKernel+uint64(i), 7, false); err != nil {
				t.Fatal(err)
			}
		}
		first := l.u64(data)
		if first != want[0]+8 || l.u64(first) != want[1]+8 || l.u64(want[1]+8) != 0 || l.u64(data+8) != want[1]+8 {
			t.Errorf("%v: the queue starts with %#x, want %#x", b, first, want)
		}
		if d, n := l.u32(data+l.off("_KDPC_DATA", "DpcQueueDepth")), l.u32(data+l.off("_KDPC_DATA", "DpcCount")); d != 2 || n != before+2 || l.u64(want[1]+0x18) != vaKernel+1 {
			t.Errorf("%v: depth %d, count %d", b, d, n)
		}
	}
}

// decode is what debuggers do to an encoded KdDebuggerDataBlock.
func decode(v, encoded, never, always uint64) uint64 {
	return bits.ReverseBytes64(bits.RotateLeft64(v^never, int(never&0xff))^encoded) ^ always
}

func TestSystem_DebuggerBlock(t *testing.T) {
	for _, encoded := range []bool{false, true} {
		l := healthy(t, Plan{Arch: "x64", Build: 19041, Memory: 1 << 30, Encoded: encoded})
		block := l.Symbol("KdDebuggerDataBlock")
		read := func(off uint64) uint64 {
			v := l.u64(block + off)
			if encoded {
				v = decode(v, l.Symbol("KdpDataBlockEncoded"), l.u64(l.Symbol("KiWaitNever")), l.u64(l.Symbol("KiWaitAlways")))
			}
			return v
		}
		if got := read(0x10); got != 0x380<<32|0x4742444b {
			t.Errorf("encoded %v: tag and size %#x", encoded, got)
		}
		for off, want := range map[uint64]uint64{0x18: vaKernel, 0x48: l.Symbol("PsLoadedModuleList"), 0x50: l.Symbol("PsActiveProcessHead"), 0x218: l.Symbol("KiProcessorBlock")} {
			if got := read(off); got != want || want == 0 {
				t.Errorf("encoded %v: word at %#x is %#x, want %#x", encoded, off, got, want)
			}
		}
		if got := l.bytes(l.Symbol("KdpDataBlockEncoded"), 1)[0] != 0; got != encoded {
			t.Errorf("KdpDataBlockEncoded %v, want %v", got, encoded)
		}
	}
}

func TestSystem_Devices(t *testing.T) {
	l := healthy(t, Plan{Arch: "x64", Build: 26100, Memory: 1 << 30})
	directory := func(path ...string) uint64 {
		at := l.u64(l.Symbol("ObpRootDirectoryObject"))
		for _, want := range path {
			found := uint64(0)
			for i := uint64(0); i < 37; i++ {
				for e := l.u64(at + 8*i); e != 0; e = l.u64(e) {
					object := l.u64(e + 8)
					if mask := l.bytes(object-0x30+0x1a, 1)[0]; mask&2 != 0 && l.text(object-0x30-0x20+8) == want {
						found = object
					}
				}
			}
			if found == 0 {
				t.Fatalf("%q is not in its directory", want)
			}
			at = found
		}
		return at
	}
	driver := directory("Driver", "MYFAULT")
	device := directory("Device", "MyFault")
	if l.u64(driver+8) != device || l.u64(device+8) != driver || l.text(driver+0x38) != `\Driver\MYFAULT` {
		t.Errorf("driver %#x, device %#x do not belong together", driver, device)
	}
	if got := l.u64(driver + 0x18); got != l.Module("myfault.sys").Base {
		t.Errorf("DriverStart %#x", got)
	}
	// The disk's stack: storvsc, disk, partmgr.
	disk := directory("Device", "Harddisk0", "DR0")
	top := l.u64(disk + 0x18)
	if below := l.u64(l.u64(disk+0x138) + 0x30); l.text(l.u64(below+8)+0x38) != `\Driver\storvsc` || l.text(l.u64(top+8)+0x38) != `\Driver\partmgr` {
		t.Errorf("below the disk %#x, on it %#x", below, top)
	}
	thread := l.Process("explorer.exe").Threads[2]
	irp, err := l.AddIRP(l.Driver("partmgr").Devices[0], Request{Major: 4, Thread: thread, Current: 2})
	if err != nil {
		t.Fatal(err)
	}
	current := l.u64(irp + 0xb8)
	if got := l.u64(current + 0x28); l.text(l.u64(got+8)+0x38) != `\Driver\storvsc` || l.bytes(irp+0x42, 2)[1] != 1 {
		t.Errorf("the request is at %#x", got)
	}
	if list := l.walk(thread.Address + l.off("_ETHREAD", "IrpList")); len(list) != 1 || list[0] != irp+0x20 {
		t.Errorf("requests of the thread: %#x", list)
	}
}

func TestSystem_Locks(t *testing.T) {
	l := healthy(t, Plan{Arch: "x64", Build: 17763, Memory: 1 << 30})
	r := l.Resource("Test")
	owner, waiter := l.Process("lsass.exe").Threads[0], l.Process("lsass.exe").Threads[1]
	for _, err := range []error{l.Acquire(r, owner, false), l.WaitForResource(r, waiter, false)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	list := l.walk(l.Symbol("ExpSystemResourcesList"))
	if list[len(list)-1] != r || l.u64(r+0x30) != owner.Address || l.u32(r+0x4c) != 1 || l.u32(r+0x18) != 0x800001 {
		t.Errorf("resource %#x: owner %#x, %d waiters, flags %#x", r, l.u64(r+0x30), l.u32(r+0x4c), l.u32(r+0x18))
	}
	entry := l.u64(r + 0x28)
	if block := l.u64(entry + 0x20); l.u64(entry+0x10) != waiter.Address || l.u64(block+0x18) != waiter.Address {
		t.Errorf("wait block %#x of the event in the resource's chain is not the waiter's", block)
	}
}

func TestSystem_MemoryFigures(t *testing.T) {
	for _, size := range []uint64{1 << 30, 64 << 30} {
		l := healthy(t, Plan{Arch: "x64", Build: 20348, Memory: size})
		vp := l.Symbol("MiSystemPartition") + l.off("_MI_PARTITION", "Vp")
		pages := l.u64(vp + l.off("_MI_VISIBLE_PARTITION", "NumberOfPhysicalPages"))
		block := l.u64(l.Symbol("MmPhysicalMemoryBlock"))
		if pages != l.Memory.Frames() || l.u64(block+8) != pages || size/0x1000-pages > 0x100 {
			t.Errorf("%d bytes: %d pages, %d in the descriptor", size, pages, l.u64(block+8))
		}
		if a := l.u64(vp + l.off("_MI_VISIBLE_PARTITION", "AvailablePages")); a == 0 || a >= pages {
			t.Errorf("%d bytes: %d pages available", size, a)
		}
		l.Memory.Used(func(pfn uint64, c ram.Class) {
			at := vaPFN + pfn*0x30
			if place := l.bytes(at+0x22, 1)[0] & 7; place != 6 {
				t.Fatalf("frame %#x is in place %d", pfn, place)
			}
		})
	}
}

// Equal plans give equal files.
func TestSystem_Deterministic(t *testing.T) {
	var files [2]memoryFile
	for i := range files {
		l := healthy(t, Plan{Arch: "arm64", Build: 26100, Memory: 512 << 20})
		if err := l.Dump(&files[i], ram.KernelBitmap); err != nil {
			t.Fatal(err)
		}
	}
	if len(files[0].b) < 1<<20 || !bytes.Equal(files[0].b, files[1].b) {
		t.Errorf("files of %d and %d bytes differ", len(files[0].b), len(files[1].b))
	}
}

type memoryFile struct{ b []byte }

func (f *memoryFile) WriteAt(p []byte, at int64) (int, error) { return copy(f.b[at:], p), nil }
func (f *memoryFile) Truncate(n int64) error                  { f.b = make([]byte, n); return nil }

func TestSystem_Many(t *testing.T) {
	l := healthy(t, Plan{Arch: "x64", Build: 19041, Memory: 64 << 30, Processes: 60, Threads: 900})
	threads := 0
	for _, p := range l.System.Processes {
		threads += len(p.Threads)
	}
	if got := len(l.walk(l.Symbol("PsActiveProcessHead"))); got != 59 || threads < 900 {
		t.Errorf("%d processes, %d threads", got, threads)
	}
	ids := map[uint32]bool{}
	for _, p := range l.System.Processes[1:] {
		for _, th := range p.Threads {
			ids[th.ID] = true
		}
	}
	if len(ids) < 890 {
		t.Errorf("%d different thread ids", len(ids))
	}
}

func TestPlan_Refused(t *testing.T) {
	for _, p := range []Plan{{}, {Arch: "mips", Build: 19041, Memory: 1 << 30}, {Arch: "x64", Build: 7601, Memory: 1 << 30},
		{Arch: "x64", Build: 19041, Memory: 1 << 20}, {Arch: "x64", Build: 19041, Memory: 1 << 30, Processors: 900}} {
		if _, err := p.System(); err == nil {
			t.Errorf("%+v: no error", p)
		}
	}
}

// sortedBlocks returns the addresses of all blocks in use.
func sortedBlocks(s *System) []uint64 {
	var all []uint64
	for va := range s.pool.blocks {
		all = append(all, va)
	}
	sort.Slice(all, func(i, j int) bool { return all[i] < all[j] })
	return all
}
