package kernel_test

import (
	"encoding/binary"
	"os"
	"strconv"
	"strings"
	"testing"

	"bugcheck/dump"
	"bugcheck/kernel"
	"bugcheck/mem"
)

// pageMap is the physical memory of a small machine, with page tables of x64.
type pageMap struct {
	pages map[mem.PA]*[mem.PageSize]byte
	next  mem.PA
}

func (r *pageMap) ReadPhysical(p []byte, pa mem.PA) (int, error) {
	done := 0
	for done < len(p) {
		at := pa + mem.PA(done)
		page := r.pages[at&^(mem.PageSize-1)]
		if page == nil {
			return done, mem.MissingPage(at, mem.NotInDump)
		}
		done += copy(p[done:], page[at%mem.PageSize:])
	}
	return done, nil
}

func (r *pageMap) page() mem.PA {
	r.next += mem.PageSize
	r.pages[r.next] = &[mem.PageSize]byte{}
	return r.next
}

// at is the page that va is mapped to under a root; it is made where there is none.
func (r *pageMap) at(root mem.PA, va mem.VA) *[mem.PageSize]byte {
	table := root
	for shift := 39; shift >= 12; shift -= 9 {
		entry := r.pages[table][uint64(va)>>shift&0x1ff*8:]
		pte := binary.LittleEndian.Uint64(entry)
		if pte == 0 {
			pte = uint64(r.page()) | 7
			binary.LittleEndian.PutUint64(entry, pte)
		}
		table = mem.PA(pte &^ 0xfff)
	}
	return r.pages[table]
}

func (r *pageMap) put(root mem.PA, va mem.VA, b []byte) {
	for len(b) > 0 {
		n := copy(r.at(root, va)[va%mem.PageSize:], b)
		va, b = va+mem.VA(n), b[n:]
	}
}

// world is a machine to open: what a test changes before it does.
type world struct {
	tb      testing.TB
	arch    dump.Arch
	pc, sp  int // where a CONTEXT holds them
	ram     pageMap
	root    mem.PA // of the System process
	user    mem.PA // of notmyfault64.exe
	field   map[string]int
	heap    mem.VA
	header  dump.Header
	context []byte
	kdbg    map[int]uint64
	sizes   map[int]uint16

	modules, processes    mem.VA // list heads
	system, notmyfault    mem.VA // EPROCESSes
	worker, crashing      mem.VA // ETHREADs
	prcbs                 [2]mem.VA
	stack, dpcStack, peb  mem.VA
	nt, myfault, rsp, rip mem.VA
}

const (
	kdbgAt   = 0xfffff800_10900000
	stackTop = 0xffffbd00_00016000
)

// layoutOf reads a column of the table of structures.
func layoutOf(tb testing.TB, column string) map[string]int {
	tb.Helper()
	b, err := os.ReadFile("structures.tsv")
	if err != nil {
		tb.Fatal(err)
	}
	fields, index := map[string]int{}, -1
	for line := range strings.Lines(string(b)) {
		cells := strings.Split(strings.TrimSpace(line), "\t")
		if strings.HasPrefix(line, "# structure") {
			for i, c := range cells {
				if c == column {
					index = i
				}
			}
			continue
		}
		if strings.HasPrefix(line, "#") || index < 0 {
			continue
		}
		if v, err := strconv.ParseUint(cells[index], 0, 32); err == nil {
			fields[cells[0]+" "+cells[1]] = int(v)
		}
	}
	if index < 0 {
		tb.Fatalf("structures.tsv has no column %q", column)
	}
	return fields
}

// newWorld makes a machine of two processors; the second crashed, in myfault.sys,
// while notmyfault64.exe ran.
func newWorld(tb testing.TB, column string) *world {
	w := &world{
		tb: tb, ram: pageMap{pages: map[mem.PA]*[mem.PageSize]byte{}}, field: layoutOf(tb, column), heap: 0xffffa000_00000000,
		nt: 0xfffff800_10000000, myfault: 0xfffff800_20000000, kdbg: map[int]uint64{}, sizes: map[int]uint16{},
		stack: stackTop, dpcStack: 0xffffbd00_00026000, context: make([]byte, 3000), peb: 0x2000000,
	}
	w.arch, w.pc, w.sp = dump.X64, 0xf8, 0x98
	if strings.HasPrefix(column, "arm64") {
		w.arch, w.pc, w.sp = dump.ARM64, 0x108, 0x100
	}
	if _, ok := w.field["_KPRCB ProcessorState.ContextFrame"]; !ok { // triage_arm64.dmp's own block says so
		w.field["_KPRCB ProcessorState.ContextFrame"] = 0x360
	}
	w.root = w.ram.page()
	w.ram.at(w.root, w.heap) // so that both roots share what is below the upper half's entries
	w.ram.at(w.root, w.nt)
	w.ram.at(w.root, stackTop)
	w.ram.at(w.root, 0xfffff780_00000000)
	w.user = w.ram.page()
	copy(w.ram.pages[w.user][0x800:], w.ram.pages[w.root][0x800:])
	w.header = dump.Header{Build: 19041, BugCheckCode: 0xd1, Parameters: [4]uint64{1, 2, 0, uint64(w.myfault) + 0x1010}, Processors: 2, DebuggerData: kdbgAt}
	w.header.DirectoryTable = w.user
	w.makeModules()
	w.makeProcesses()
	w.makeProcessors()
	w.makeVariables()
	return w
}

func (w *world) at(key string) mem.VA {
	v, ok := w.field[key]
	if !ok {
		w.tb.Fatalf("the table has no %s", key)
	}
	return mem.VA(v)
}

func (w *world) alloc(size int) mem.VA {
	va := w.heap
	w.heap += mem.VA(size+15) &^ 15
	w.put(va, make([]byte, size))
	return va
}

func (w *world) put(va mem.VA, b []byte) {
	root := w.root
	if va < 1<<47 {
		root = w.user
	}
	w.ram.put(root, va, b)
}

func (w *world) put64(va mem.VA, v uint64) { w.put(va, binary.LittleEndian.AppendUint64(nil, v)) }
func (w *world) put32(va mem.VA, v uint32) { w.put(va, binary.LittleEndian.AppendUint32(nil, v)) }
func (w *world) putVA(va mem.VA, v mem.VA) { w.put64(va, uint64(v)) }
func (w *world) read64(va mem.VA) uint64 {
	return binary.LittleEndian.Uint64(w.ram.at(w.root, va)[va%mem.PageSize:])
}

// text puts a UNICODE_STRING at va and its text elsewhere.
func (w *world) text(va mem.VA, s string) { w.textAt(va, s, w.alloc(2*len(s)+2)) }

func (w *world) textAt(va mem.VA, s string, buffer mem.VA) {
	b := utf16(s)
	w.put(buffer, b)
	w.put(va, binary.LittleEndian.AppendUint16(binary.LittleEndian.AppendUint16(nil, uint16(len(b))), uint16(len(b)+2)))
	w.putVA(va+8, buffer)
}

// link makes a ring of a head and entries.
func (w *world) link(head mem.VA, entries ...mem.VA) {
	all := append([]mem.VA{head}, entries...)
	for i, e := range all {
		w.putVA(e, all[(i+1)%len(all)])
		w.putVA(e+8, all[(i+len(all)-1)%len(all)])
	}
}

// imageHeaders are those of an image without sections, which names a symbol file.
func imageHeaders(size, timestamp uint32, pdb string) []byte {
	b := make([]byte, 0x400)
	copy(b, "MZ")
	put32(b, 0x3c, 0x80)
	copy(b[0x80:], "PE\x00\x00\x64\x86")
	put32(b, 0x88, timestamp)
	b[0x94] = 0xf0
	b[0x98], b[0x99] = 0x0b, 0x02
	put32(b, 0x98+0x38, size)
	put32(b, 0x98+0x3c, 0x400)
	put32(b, 0x98+0x40, 0x1234)
	put32(b, 0x98+0x6c, 16)
	put32(b, 0x98+0x70+6*8, 0x300) // the debug directory
	put32(b, 0x98+0x70+6*8+4, 0x1c)
	put32(b, 0x30c, 2)
	put32(b, 0x310, uint32(0x18+len(pdb)+1))
	put32(b, 0x314, 0x320)
	copy(b[0x320:], "RSDS0123456789abcdef")
	put32(b, 0x334, 1)
	copy(b[0x338:], pdb)
	return b
}

const (
	ntSize      = 0xa00000
	myfaultSize = 0x8000
)

func (w *world) makeModules() {
	w.put(w.nt, imageHeaders(ntSize, 0x11111111, "ntkrnlmp.pdb"))
	w.put(w.myfault, imageHeaders(myfaultSize, 0x22222222, "myfault.pdb"))
	w.modules = w.nt + 0x800000
	w.put(w.modules, make([]byte, 16))
	w.link(w.modules, w.module(w.nt, ntSize, "ntoskrnl.exe"), w.module(0xfffff800_30000000, 0x6000, "gone.sys"), w.module(w.myfault, myfaultSize, "myfault.sys"))
}

func (w *world) module(base mem.VA, size uint32, name string) mem.VA {
	e := w.alloc(0xa0)
	w.putVA(e+0x30, base)
	w.put32(e+0x40, size)
	w.text(e+0x48, `\SystemRoot\system32\`+name)
	w.text(e+0x58, name)
	w.put32(e+0x9c, 0x33333333)
	return e
}

const fileTime2024 = 0x01da3c4d_00000000 // January 2024

func (w *world) makeProcesses() {
	w.processes = w.nt + 0x800100
	w.put(w.processes, make([]byte, 16))
	w.system = w.process(4, 0, "System", w.root)
	w.notmyfault = w.process(4244, 1000, "notmyfault64.e", w.user)
	exited := w.process(77, 4, "gone.exe", 0)
	w.put64(exited+w.at("_EPROCESS ExitTime"), fileTime2024+5)
	w.put32(exited+w.at("_EPROCESS ExitStatus"), 0xc0000005)
	links := w.at("_EPROCESS ActiveProcessLinks")
	w.link(w.processes, w.system+links, exited+links, w.notmyfault+links)

	name := w.alloc(16)
	w.text(name, `\Device\HarddiskVolume3\tools\notmyfault64.exe`)
	w.putVA(w.notmyfault+w.at("_EPROCESS SeAuditProcessCreationInfo"), name)
	session := w.alloc(0x100)
	w.put32(session+8, 1)
	if at, ok := w.field["_EPROCESS Session"]; ok {
		w.putVA(w.notmyfault+mem.VA(at), session)
	}
	w.makeHandles()
	w.makePEB()

	w.worker, w.crashing = w.thread(w.system, 8, 5), w.thread(w.notmyfault, 4300, 2)
	e, k := w.at("_EPROCESS ThreadListHead"), w.at("_ETHREAD ThreadListEntry")
	w.link(w.system+e, w.worker+k)
	w.link(w.notmyfault+e, w.crashing+k)
	w.link(exited + e)
}

func (w *world) process(pid, parent uint64, name string, root mem.PA) mem.VA {
	p := w.alloc(int(w.at("_EPROCESS sizeof")))
	w.put64(p+w.at("_EPROCESS UniqueProcessId"), pid)
	w.put64(p+w.at("_EPROCESS InheritedFromUniqueProcessId"), parent)
	w.put(p+w.at("_EPROCESS ImageFileName"), []byte(name))
	w.put64(p+w.at("_EPROCESS CreateTime"), fileTime2024)
	w.put64(p+w.at("_KPROCESS DirectoryTableBase"), uint64(root))
	w.put64(p+w.at("_EPROCESS Vm.Instance.WorkingSetSize"), 100)
	w.put64(p+w.at("_EPROCESS CommitCharge"), 50)
	w.put64(p+w.at("_EPROCESS VirtualSize"), 1<<30)
	w.put32(p+w.at("_EPROCESS ActiveThreads"), 1)
	return p
}

// makeHandles gives notmyfault64.exe a table of two levels with 300 handles.
func (w *world) makeHandles() {
	table, pointers := w.alloc(0x80), w.alloc(0x2000)
	pointers = (pointers + 0xfff) &^ 0xfff
	w.heap = (w.heap + 0xfff) &^ 0xfff
	for i := range 2 {
		leaf := w.alloc(0x1000)
		w.putVA(pointers+mem.VA(8*i), leaf)
		for j := 1; j <= []int{255, 45}[i]; j++ {
			w.put64(leaf+mem.VA(16*j), 0xa0000001)
		}
	}
	w.putVA(table+w.at("_HANDLE_TABLE TableCode"), pointers+1)
	w.put32(table+w.at("_HANDLE_TABLE FreeLists")+w.at("_HANDLE_TABLE_FREE_LIST HandleCount"), 200)
	w.putVA(w.notmyfault+w.at("_EPROCESS ObjectTable"), table)
}

// makePEB gives it a command line and two modules.
func (w *world) makePEB() {
	const parameters = 0x2100000
	w.putVA(w.notmyfault+w.at("_EPROCESS Peb"), w.peb)
	w.put(w.peb, make([]byte, 0x400))
	w.putVA(w.peb+w.at("_PEB ProcessParameters"), parameters)
	w.put(parameters, make([]byte, 0x100))
	w.textAt(parameters+w.at("_RTL_USER_PROCESS_PARAMETERS CommandLine"), `notmyfault64.exe /crash`, 0x2110000)
	w.put32(w.peb+w.at("_PEB SessionId"), 1)
	w.putVA(w.peb+w.at("_PEB Ldr"), ldr)
	w.put(ldr, make([]byte, 0x60))
	w.program("notmyfault64.exe", "ntdll.dll")
}

const ldr = 0x2101000

// programAt is where a module of the program lies.
func programAt(i int) mem.VA { return 0x140000000 + mem.VA(i)<<32 }

// program lists the program's modules in its PEB.
func (w *world) program(names ...string) {
	var entries []mem.VA
	for i, name := range names {
		e := mem.VA(0x2102000 + 0x200*i)
		w.put(e, make([]byte, 0xa0))
		w.putVA(e+0x30, programAt(i))
		w.put32(e+0x40, 0x10000)
		w.textAt(e+0x48, `C:\tools\`+name, e+0x100)
		w.textAt(e+0x58, name, e+0x180)
		entries = append(entries, e)
	}
	w.link(ldr+w.at("_PEB_LDR_DATA InLoadOrderModuleList"), entries...)
}

func (w *world) thread(process mem.VA, id uint64, state byte) mem.VA {
	t := w.alloc(int(w.at("_ETHREAD sizeof")))
	w.put64(t+w.at("_ETHREAD Cid"), w.read64(process+w.at("_EPROCESS UniqueProcessId")))
	w.put64(t+w.at("_ETHREAD Cid")+8, id)
	w.put(t+w.at("_KTHREAD State"), []byte{state})
	w.put(t+w.at("_KTHREAD WaitReason"), []byte{15})
	w.put(t+w.at("_KTHREAD Priority"), []byte{9})
	w.put32(t+w.at("_KTHREAD WaitTime"), 1000)
	w.putVA(t+w.at("_KTHREAD Process"), process)
	w.putVA(t+w.at("_KTHREAD ApcState.Process"), process)
	w.put64(t+w.at("_ETHREAD CreateTime"), fileTime2024)
	w.putVA(t+w.at("_ETHREAD StartAddress"), w.nt+0x5000)
	return t
}

func (w *world) makeProcessors() {
	size := int(w.at("_KPRCB sizeof"))
	for i := range w.prcbs {
		p := w.alloc(size)
		w.prcbs[i] = p
		w.put32(p+w.at("_KPRCB Number"), uint32(i))
		w.putVA(p+w.at("_KPRCB CurrentThread"), []mem.VA{w.worker, w.crashing}[i])
		w.put(p+w.at("_KPRCB DebuggerSavedIRQL"), []byte{byte(2 * i)})
		w.put32(p+w.at("_KPRCB KernelTime"), 640)
		w.putVA(p+w.at("_KPRCB DpcStack"), w.dpcStack+mem.VA(i)*0x10000)
	}
	for i, t := range []mem.VA{w.worker, w.crashing} {
		base := w.stack + mem.VA(1-i)*0x100000
		w.put(base-0x6000, make([]byte, 0x6000))
		w.putVA(t+w.at("_KTHREAD StackLimit"), base-0x6000)
		w.putVA(t+w.at("_KTHREAD StackBase"), base)
	}
	w.rip, w.rsp = w.nt+0x3000, w.stack-0x800
	put64(w.context, w.pc, uint64(w.rip))
	put64(w.context, w.sp, uint64(w.rsp))
	frame := w.prcbs[1] + w.at("_KPRCB ProcessorState.ContextFrame")
	w.putVA(frame+mem.VA(w.pc), w.rip)
	w.putVA(frame+mem.VA(w.sp), w.rsp)
	w.makeDPCs()
}

// makeDPCs queues two on the second processor.
func (w *world) makeDPCs() {
	data := w.prcbs[1] + w.at("_KPRCB DpcData")
	first, second := w.alloc(0x40), w.alloc(0x40)
	for i, d := range []mem.VA{first, second} {
		w.putVA(d+w.at("_KDPC DeferredRoutine"), w.myfault+0x1000+mem.VA(i)*0x100)
	}
	link := w.at("_KDPC DpcListEntry")
	w.putVA(data+w.at("_KDPC_DATA DpcList"), first+link)
	w.putVA(first+link, second+link)
	w.put32(data+w.at("_KDPC_DATA DpcQueueDepth"), 2)
}

func (w *world) makeVariables() {
	v := w.nt + 0x801000
	w.put(v, make([]byte, 0x1000))
	w.put32(v, 156250) // KeTimeIncrement
	for i, word := range append([]uint64{uint64(w.header.BugCheckCode)}, w.header.Parameters[:]...) {
		w.put64(v+0x10+mem.VA(8*i), word)
	}
	for i, p := range w.prcbs {
		w.putVA(v+0x100+mem.VA(8*i), p)
	}
	array := w.alloc(50 * 0x28)
	for i, name := range []string{"older.sys", "newer.sys"} {
		e := array + mem.VA((49+i)%50*0x28) // the second has begun anew
		w.text(e, name)
		w.putVA(e+0x10, 0xfffff800_40000000+mem.VA(i)<<20)
		w.putVA(e+0x18, 0xfffff800_40008000+mem.VA(i)<<20)
	}
	w.putVA(v+0x40, array)
	w.put32(v+0x48, 1)
	w.put32(0xfffff780_00000320, 1064)
	for off, va := range map[int]mem.VA{
		0x18: w.nt, 0x48: w.modules, 0x50: w.processes, 0x78: v, 0x88: v + 0x10, 0x218: v + 0x100, 0x220: v + 0x40, 0x228: v + 0x48,
	} {
		w.kdbg[off] = uint64(va)
	}
	for off, key := range map[int]string{
		0x2a0: "_KTHREAD ApcState.Process", 0x2a8: "_EPROCESS sizeof", 0x2ac: "_EPROCESS InheritedFromUniqueProcessId", 0x2b0: "_KPRCB sizeof",
		0x2b4: "_KPRCB CurrentThread", 0x2bc: "_KPRCB ProcessorState.ContextFrame", 0x2be: "_KPRCB Number", 0x2c0: "_ETHREAD sizeof",
	} {
		w.sizes[off] = uint16(w.at(key))
	}
	w.header.LoadedModules, w.header.ProcessHead = w.modules, w.processes
}

// block is the debugger data block.
func (w *world) block() []byte {
	b := make([]byte, 0x380)
	put32(b, 0x10, 0x4742444b)
	put32(b, 0x14, uint32(len(b)))
	for off, v := range w.kdbg {
		put64(b, off, v)
	}
	for off, v := range w.sizes {
		binary.LittleEndian.PutUint16(b[off:], v)
	}
	return b
}

// dumpFile is the machine as package dump gives it.
func (w *world) dumpFile() *dump.File {
	w.put(kdbgAt, w.block())
	return w.bareFile()
}

func (w *world) bareFile() *dump.File {
	f := &dump.File{Kind: dump.Full, Arch: w.arch, Header: w.header, Context: w.context, Physical: &w.ram}
	if w.arch == dump.ARM64 { // its entries are read alike, as far as the machine's go
		f.Paging.Kind = mem.PagingARM64
	}
	f.Memory = f.Space(w.header.DirectoryTable)
	return f
}

func (w *world) open() *kernel.Machine {
	w.tb.Helper()
	return kernel.Open(w.dumpFile())
}
