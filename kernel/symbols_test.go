package kernel_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"bugcheck/dump"
	"bugcheck/internal/corpus"
	"bugcheck/kernel"
	"bugcheck/lab"
	"bugcheck/mem"
	"bugcheck/pe"
	"bugcheck/report"
	"bugcheck/symbols"

	"github.com/google/go-cmp/cmp"
)

// chain is the driver of testdata, compiled into a folder.
type chain struct {
	dir                  string
	timestamp, size      uint32
	inner, middle, outer uint64 // RVAs
}

func tool(t *testing.T, name string, args ...string) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		corpus.Missing(t, name+" is not here")
	}
	if out, err := exec.Command(path, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

// compile builds the driver as a linker does, with a public symbol file.
func compile(t *testing.T, arch, target, machine string) chain {
	t.Helper()
	c := chain{dir: t.TempDir()}
	in := func(name string) string { return filepath.Join(c.dir, name) }
	tool(t, "clang-19", "-target", target, "-c", "testdata/chain-"+arch+".s", "-o", in("chain.obj"))
	tool(t, "lld-link-19", "/driver", "/subsystem:native", "/nodefaultlib", "/machine:"+machine, "/entry:Outer", "/Brepro",
		"/export:Outer", "/debug:full", "/pdb:"+in("myfault.pdb"), "/pdbaltpath:%_PDB%", "/out:"+in("myfault.sys"), in("chain.obj"))
	c.timestamp, c.size = identity(t, in("myfault.sys"))
	found := finder(t, c.dir).Module(context.Background(), symbols.Wanted{Name: "myfault.sys", Timestamp: c.timestamp, Size: c.size})
	for name, to := range map[string]*uint64{"Inner": &c.inner, "Middle": &c.middle, "Outer": &c.outer} {
		rva, ok := found.Address(name)
		if !ok {
			t.Fatalf("%s is not in the symbol file: %v", name, found.Errs)
		}
		*to = uint64(rva)
	}
	return c
}

// identity is what a dump records of an image.
func identity(t *testing.T, path string) (timestamp, size uint32) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	image, err := pe.Open(bytes.NewReader(b), int64(len(b)), pe.InFile)
	if err != nil {
		t.Fatal(err)
	}
	return image.Header.Timestamp, image.Header.SizeOfImage
}

func finder(t *testing.T, path string) *symbols.Finder {
	t.Helper()
	f, err := symbols.Open(symbols.Options{Path: path, Offline: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

func openWith(t *testing.T, d *lab.Dump, path string) *kernel.Machine {
	t.Helper()
	b := labBytes(t, d)
	f, err := dump.Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	return kernel.OpenWith(context.Background(), f, finder(t, path))
}

// crashed puts the driver into a quiet machine, and returns where it lies.
func (c chain) crashed(b *lab.Build) (d *lab.Dump, sp, base uint64) {
	d, sp = quiet(b)
	for i := range d.Drivers {
		if strings.HasSuffix(d.Drivers[i].Path, "myfault.sys") {
			d.Drivers[i].Timestamp, d.Drivers[i].Size = c.timestamp, c.size
		}
	}
	return d, sp, d.Address("myfault.sys", 0)
}

func described(frames []report.Frame) []string {
	var list []string
	for _, f := range frames {
		offset := uint64(0)
		if f.Offset != nil {
			offset = uint64(*f.Offset)
		}
		list = append(list, fmt.Sprintf("%s!%s+%#x %s", f.Module, f.Symbol, offset, f.Trust))
	}
	return list
}

func checkNamed(t *testing.T, got []report.Frame, want ...string) {
	t.Helper()
	if g := described(got); strings.Join(g, "\n") != strings.Join(want, "\n") {
		t.Errorf("frames:\n%s\nwant:\n%s", strings.Join(g, "\n"), strings.Join(want, "\n"))
	}
}

// The image's unwind tables lead from the leaf to the kernel, over words that look
// like return addresses; the symbol file names the frames. The kernel has neither.
func TestOpenWith_X64(t *testing.T) {
	c := compile(t, "x64", "x86_64-pc-windows-msvc", "x64")
	d, sp, base := c.crashed(lab.Windows19041)
	nt := d.Drivers[0].Base + 0x2000
	d.Registers = lab.X64{Rip: base + c.inner, Rsp: sp, Rbx: 1, Rsi: 2}
	d.Stack.Contents = []lab.Block{
		lab.Words(sp, base+c.middle+10, base+c.outer+10, nt, 0, 0, 0x51, base+c.outer+10), // decoys behind the first
		lab.Words(sp+0x38, 0, base+c.middle+10, nt, 0, 0, 0, 0, 0, 0xb0, nt+1),
		lab.Words(sp+0xa0, nt+2),
	}
	m := openWith(t, d, c.dir)
	checkNamed(t, m.Stack(m.HeaderRegisters(), nil),
		"myfault!Inner+0x0 context", "myfault!Middle+0xa unwind", "myfault!Outer+0xa unwind", "nt!+0x2001 unwind", "nt!+0x2002 scan")

	without := open(t, d)
	frames := without.Stack(without.HeaderRegisters(), nil)
	if len(frames) != 9 || frames[1].Trust != report.TrustScan || frames[1].Symbol != "" {
		t.Errorf("without images: %v, want one frame and all eight words", described(frames))
	}
}

// A word found by scanning is dropped where its function's unwind data, applied
// there, does not lead to a caller.
func TestOpenWith_ScanContradicted(t *testing.T) {
	c := compile(t, "x64", "x86_64-pc-windows-msvc", "x64")
	d, sp, base := c.crashed(lab.Windows19041)
	nt := d.Drivers[0].Base + 0x2000
	d.Stack.Contents = []lab.Block{
		lab.Words(sp, 0, base+c.outer+10, 7), // no caller at sp+0x58
		lab.Words(sp+0x80, base+c.middle+10), // its caller is at sp+0xb0
		lab.Words(sp+0xb0, base+c.outer+10),  // its caller at sp+0x100
		lab.Words(sp+0x100, nt),
		lab.Words(sp+0x180, base+c.outer+5, base+c.middle+11), // behind no call
	}
	m := openWith(t, d, c.dir)
	checkNamed(t, m.Stack(m.HeaderRegisters(), nil), "nt!+0x1b3440 context",
		"myfault!Middle+0xa scan", "myfault!Outer+0xa unwind", "nt!+0x2000 unwind")
}

// On ARM64 the non-leaf functions' unwind codes, and the link register of the leaf.
func TestOpenWith_ARM64(t *testing.T) {
	c := compile(t, "arm64", "aarch64-pc-windows-msvc", "arm64")
	d, sp, base := c.crashed(lab.Windows26100ARM64)
	nt := d.Drivers[0].Base + 0x2000
	d.Registers = lab.ARM64{Pc: base + c.inner, Sp: sp, Fp: 0x123, Lr: base + c.middle + 12}
	d.Stack.Contents = []lab.Block{lab.Words(sp, 0x456, base+c.outer+8), lab.Words(sp+48, 0, nt)}
	m := openWith(t, d, c.dir)
	checkNamed(t, m.Stack(m.HeaderRegisters(), nil),
		"myfault!Inner+0x0 context", "myfault!Middle+0xc unwind", "myfault!Outer+0x8 unwind", "nt!+0x2000 unwind")
}

// A return address of zero ends a stack only at its end; amid the stack something
// wrote over it, and the walk goes on by scanning.
func TestOpenWith_ZeroedReturn(t *testing.T) {
	c := compile(t, "x64", "x86_64-pc-windows-msvc", "x64")
	d, sp, base := c.crashed(lab.Windows19041)
	nt := d.Drivers[0].Base + 0x2000
	d.Registers = lab.X64{Rip: base + c.inner, Rsp: sp}
	d.Stack.Contents = []lab.Block{lab.Words(sp, 0, 0, nt)}
	m := openWith(t, d, c.dir)
	checkNamed(t, m.Stack(m.HeaderRegisters(), nil), "myfault!Inner+0x0 context", "nt!+0x2000 scan")
}

// Registers that the trap frame of a fault does not save come back from the kernel's
// functions between the fault and KeBugCheckEx.
func TestRestored(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	tool(t, "clang-19", "-target", "x86_64-pc-windows-msvc", "-c", "testdata/trap-x64.s", "-o", in("trap.obj"))
	tool(t, "lld-link-19", "/driver", "/subsystem:native", "/nodefaultlib", "/machine:x64", "/entry:Trap", "/Brepro",
		"/debug:full", "/pdb:"+in("ntkrnlmp.pdb"), "/pdbaltpath:%_PDB%", "/out:"+in("ntoskrnl.exe"), in("trap.obj"))
	d, sp := quiet(lab.Windows19041)
	nt := d.Drivers[0].Base
	d.Drivers[0].Timestamp, d.Drivers[0].Size = identity(t, in("ntoskrnl.exe"))
	found := finder(t, dir).Module(context.Background(), symbols.Wanted{Name: "ntoskrnl.exe", Timestamp: d.Drivers[0].Timestamp, Size: d.Drivers[0].Size})
	rva := func(name string) uint64 {
		at, ok := found.Address(name)
		if !ok {
			t.Fatalf("no %s: %v", name, found.Errs)
		}
		return uint64(at)
	}
	trap, fault := sp+0x48, d.Address("Ntfs.sys", 0x5000)
	d.Registers = lab.X64{Rip: nt + rva("KeBugCheckEx"), Rsp: sp, Rbx: 0xbad, Rsi: 0xbad, Rdi: 3, Rbp: trap + 0x80, R12: 4, R15: 5}
	d.Stack.Contents = []lab.Block{
		lab.Words(sp, nt+rva("Handler")+11), lab.Words(sp+0x30, 2, 1, nt+rva("Trap")+21),
		{Address: trap, Data: lab.X64{Rip: fault, Rsp: trap + 0x190, Rbp: 6, Rax: 7, EFlags: 2}.TrapFrame(lab.Trap{})},
	}
	m := openWith(t, d, dir)
	frame, ok := m.FindTrapFrame(mem.VA(fault))
	if !ok {
		t.Fatal("no trap frame")
	}
	frame = m.Restored(frame)
	for name, want := range map[string]uint64{"rbx": 1, "rsi": 2, "rdi": 3, "r12": 4, "r15": 5, "rbp": 6, "rax": 7} {
		if got, ok := frame.Registers.Get(name); !ok || got != want {
			t.Errorf("%s = %#x, %v; want %#x", name, got, ok, want)
		}
	}
	without := open(t, d)
	bare, ok := without.FindTrapFrame(mem.VA(fault))
	if got := without.Restored(bare); !ok || len(got.Registers) != len(bare.Registers) {
		t.Errorf("without the kernel's image: %v, want what the frame holds", got.Registers)
	}
}

// Private symbols give the line of the source, and functions that are inlined come
// before the one that they are in.
func TestOpenWith_Inlined(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	tool(t, "clang-19", "-target", "x86_64-pc-windows-msvc", "-g", "-gcodeview", "-O2", "-c", "testdata/inlined.c", "-o", in("inlined.obj"))
	tool(t, "lld-link-19", "/driver", "/subsystem:native", "/nodefaultlib", "/machine:x64", "/entry:DriverEntry", "/Brepro",
		"/debug:full", "/pdb:"+in("myfault.pdb"), "/pdbaltpath:%_PDB%", "/out:"+in("myfault.sys"), in("inlined.obj"))
	timestamp, size := identity(t, in("myfault.sys"))
	found := finder(t, dir).Module(context.Background(), symbols.Wanted{Name: "myfault.sys", Timestamp: timestamp, Size: size})
	entry, ok := found.Address("DriverEntry")
	if !ok {
		t.Fatal("no DriverEntry")
	}
	d, sp, base := chain{timestamp: timestamp, size: size}.crashed(lab.Windows19041)
	d.Registers = lab.X64{Rip: base + uint64(entry), Rsp: sp} // the first instruction is the inlined read
	m := openWith(t, d, dir)
	frames := m.Stack(m.HeaderRegisters(), nil)
	if len(frames) < 2 {
		t.Fatalf("frames %v", described(frames))
	}
	inner, outer := frames[0], frames[1]
	if inner.Symbol != "ReadField" || !inner.Inline || inner.Offset != nil || filepath.Base(inner.File) != "inlined.c" || inner.Line != 4 {
		t.Errorf("the inlined frame is %+v", inner)
	}
	if outer.Symbol != "DriverEntry" || outer.Inline || outer.Line != 9 || outer.Address != inner.Address || outer.Trust != report.TrustContext {
		t.Errorf("the frame that it is in is %+v", outer)
	}
}

// Exports name a function where there is no symbol file, and nothing between.
func TestOpenWith_Exports(t *testing.T) {
	c := compile(t, "x64", "x86_64-pc-windows-msvc", "x64")
	if err := os.Remove(filepath.Join(c.dir, "myfault.pdb")); err != nil {
		t.Fatal(err)
	}
	d, sp, base := c.crashed(lab.Windows19041)
	d.Registers = lab.X64{Rip: base + c.inner, Rsp: sp}
	d.Stack.Contents = []lab.Block{lab.Words(sp, base+c.middle+10), lab.Words(sp+0x30, base+c.outer+10)}
	m := openWith(t, d, c.dir)
	frames := m.Stack(m.HeaderRegisters(), nil)
	checkNamed(t, frames, fmt.Sprintf("myfault!+%#x context", c.inner), fmt.Sprintf("myfault!+%#x unwind", c.middle+10), "myfault!Outer+0xa unwind")
	found := m.SymbolsOf("myfault.sys")
	if found == nil || found.Status() != report.SymbolsExport || len(found.Missing) != 1 || found.Missing[0].Name != "myfault.pdb" {
		t.Errorf("found %+v, want exports and that myfault.pdb is missing", found)
	}
}

// An image of another build is told of, not used.
func TestOpenWith_Mismatched(t *testing.T) {
	c := compile(t, "x64", "x86_64-pc-windows-msvc", "x64")
	c.timestamp++
	d, sp, base := c.crashed(lab.Windows19041)
	d.Registers = lab.X64{Rip: base + c.inner, Rsp: sp}
	m := openWith(t, d, c.dir)
	found := m.SymbolsOf("myfault.sys")
	if found == nil || found.Status() != report.SymbolsMismatched || found.Image != nil {
		t.Errorf("found %+v, want a mismatch and no image", found)
	}
}

// The kernel's own symbol file says where the fields of its structures stand, where
// neither table nor guess does.
func TestOpenWith_Layouts(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	tool(t, "clang-19", "-target", "x86_64-pc-windows-msvc", "-g", "-gcodeview", "-O1", "-c", "testdata/types.c", "-o", in("types.obj"))
	tool(t, "lld-link-19", "/driver", "/subsystem:native", "/nodefaultlib", "/machine:x64", "/entry:DriverEntry", "/Brepro",
		"/debug:full", "/pdb:"+in("ntkrnlmp.pdb"), "/pdbaltpath:%_PDB%", "/out:"+in("ntoskrnl.exe"), in("types.obj"))
	d := lab.SystemThreadException(lab.Windows19041)
	d.Drivers[0].Timestamp, d.Drivers[0].Size = identity(t, in("ntoskrnl.exe"))
	b := labBytes(t, d)
	kdbg := int(u32(b, 0x2000+0x70))
	for off := 0x2a8; off <= 0x2b8; off += 2 { // sizes and offsets of the debugger data block
		b[kdbg+off], b[kdbg+off+1] = 0xff, 0xff
	}
	f, err := dump.Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	if p, ok := kernel.Open(f).Process(); ok {
		t.Errorf("without symbols: %+v, want nothing", p)
	}
	m := kernel.OpenWith(context.Background(), f, finder(t, dir))
	p, ok := m.Process()
	if !ok || p.Name != "System" || p.Trust != report.Recorded || p.PID == nil || *p.PID != 4 {
		t.Errorf("Process() = %+v, %v; want System 4, recorded", p, ok)
	}
	if _, base, ok := m.StackLimits(); !ok || base != mem.VA(d.Stack.Base) {
		t.Errorf("stack base %v, %v; want %#x", base, ok, d.Stack.Base)
	}
	if irql, ok := m.IRQL(); !ok || irql != d.Processor.IRQL {
		t.Errorf("IRQL %d, %v; want %d", irql, ok, d.Processor.IRQL)
	}
}

// The kernels of three real dumps are recognised in their symbol tables, and the
// frame of the header's registers has the name that it must have.
func TestCorpus_KernelSymbols(t *testing.T) {
	isf := corpus.Dir(t, "isf")
	for file, key := range map[string]string{
		"triage_x64.dmp":     "5278AFF86C341677D7D7835C85B7B8441",
		"100623-4953-01.dmp": "79BE8C368BEC7DD9677EA9B355ACE7841",
		"100623-6156-01.dmp": "89284D0CA6ACC8274B9A44BD5AF9290B1",
		"train-9f.dmp":       "", // of another build
	} {
		b, err := os.ReadFile(filepath.Join(corpus.Dir(t, "dumps"), file))
		if err != nil {
			t.Fatal(err)
		}
		f, err := dump.Open(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		m := kernel.OpenWith(context.Background(), f, finder(t, isf))
		nt := m.Symbols(0)
		if key == "" {
			if nt.ISF != nil {
				t.Errorf("%s: symbols %s for a kernel that nobody has", file, nt.ISF.PDB.Key())
			}
			continue
		}
		if nt.ISF == nil || nt.ISF.PDB.Key() != key {
			t.Errorf("%s: symbols %+v, want %s", file, nt.ISF, key)
			continue
		}
		// The layouts of its structures are those of the table.
		got, _ := m.Process()
		want, _ := kernel.Open(f).Process()
		if diff := cmp.Diff(want, got); diff != "" || got.Name == "" {
			t.Errorf("%s: process (-table +symbols):\n%s", file, diff)
		}
	}
}
