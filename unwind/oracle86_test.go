package unwind

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"testing"

	"bugcheck/mem"
	"bugcheck/pdb"
	"bugcheck/pe"
)

// programs are the FRAMEDATA records of a symbol file, as llvm-pdbutil shows
// them: sorted, the more special one later.
type programs []pdb.FrameData

func (s programs) FrameData(rva uint32) (pdb.FrameData, bool) {
	i := sort.Search(len(s), func(i int) bool { return s[i].RVA > rva })
	for n := 0; n < 32 && i > 0; n++ {
		if i--; rva < s[i].RVA+s[i].Size {
			return s[i], true
		}
	}
	return pdb.FrameData{}, false
}

func (programs) FPO(uint32) (pdb.FPO, bool) { return pdb.FPO{}, false }

var programLine = regexp.MustCompile(`(?m)^([0-9A-F]{8}) \| +(\d+) \| +(\d+) \| +(\d+) \| +(\d+) \| +(\d+) \| +(\d+) \| +\w+ \| +\w+ \| +(\w+) \| (.*)$`)

func readPrograms(t *testing.T, path string) (list programs) {
	t.Helper()
	out, err := exec.Command(tool(t, "llvm-pdbutil"), "dump", "--fpo", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range programLine.FindAllStringSubmatch(string(out), -1) {
		number := func(i, radix int) uint32 {
			v, err := strconv.ParseUint(m[i], radix, 32)
			if err != nil {
				t.Fatal(err)
			}
			return uint32(v)
		}
		list = append(list, pdb.FrameData{RVA: number(1, 16), Size: number(2, 10), Locals: number(3, 10), Params: number(4, 10),
			StackMax: number(5, 10), Prolog: uint16(number(6, 10)), SavedRegs: uint16(number(7, 10)), FunctionStart: m[8] == "true", Program: m[9]})
	}
	sort.SliceStable(list, func(i, j int) bool { return list[i].RVA < list[j].RVA })
	return list
}

// importedBy finds the jumps by which an x86 image calls an imported function.
func (o *oracle) importedBy(name string) map[pe.RVA]bool {
	list, _ := o.f.Imports()
	found := map[pe.RVA]bool{}
	for _, m := range list {
		for _, fn := range m.Functions {
			code := append([]byte{0xff, 0x25}, words(uint32(o.f.Header.ImageBase)+uint32(fn.Slot))...)
			if fn.Name != name {
				continue
			}
			text := make([]byte, o.f.Header.SizeOfImage-0x1000)
			n, _ := o.f.ReadAt(text, 0x1000)
			if at := bytes.Index(text[:n], code); at >= 0 {
				found[0x1000+pe.RVA(at)] = true
			}
		}
	}
	return found
}

// TestSimulation_X86 runs x86 drivers, whose frames their symbol files describe.
func TestSimulation_X86(t *testing.T) {
	var sum total
	for i, options := range [][]string{{"/O2", "/Oy"}, {"/O2", "/Oy-"}, {"/Od", "/Oy"}, {"/O1", "/Oy-"}} {
		path := driver(t, pe.X86, options, uint64(i), amount(t))
		list := readPrograms(t, filepath.Join(filepath.Dir(path), "a.pdb"))
		o, err := newOracle(openImage(t, path))
		if err != nil {
			t.Fatal(err)
		}
		const low = base & 0xffffffff
		o.sim, o.stack.top = &sim64{o: o, word: 4}, top&0xffffffff
		for _, d := range list {
			if d.FunctionStart {
				o.list = append(o.list, pe.Function{Begin: pe.RVA(d.RVA), End: pe.RVA(d.RVA + d.Size)})
				o.root[pe.RVA(d.RVA)] = pe.RVA(d.RVA)
			}
		}
		o.endless = o.importedBy("die")
		o.walk.Modules = func(pc mem.VA) (Module, bool) {
			return Module{Base: low, Image: o.f, Frames: list}, pc >= low && pc < low+mem.VA(o.f.Header.SizeOfImage)
		}
		o.walk.Plausible = func(ret mem.VA) bool { return ret == entryRet&0xffffffff }
		sum.add(simulate(t, o, path))
	}
	sum.report(t, "x86")
}
