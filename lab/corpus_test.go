package lab

import (
	"os"
	"path/filepath"
	"testing"

	"bugcheck/internal/corpus"
)

// realDumps returns the real small dumps of the builds that the lab can lay out.
func realDumps(t *testing.T) map[string]*Build {
	files, err := filepath.Glob(filepath.Join(corpus.Dir(t, "dumps"), "*.dmp"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no dumps in the corpus: %v", err)
	}
	out := map[string]*Build{}
	for _, name := range files {
		f, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range builds {
			if len(f) > 0x2080 && u32(f, 0xc) == b.number && u32(f, 0x30) == uint32(b.machine) && string(f[4:8]) == "DU64" {
				out[name] = b
			}
		}
	}
	return out
}

// TestCorpus_DebuggerData: what the lab says of a build's offsets in KDDEBUGGER_DATA64 is
// what that build's own dumps say.
func TestCorpus_DebuggerData(t *testing.T) {
	for name, b := range realDumps(t) {
		real, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		kd := real[u32(real, 0x2070):][:u32(real, 0x2074)]
		ours := Machine(b).debuggerData()
		if len(ours) != len(kd) {
			t.Errorf("%s: %#x bytes, lab %#x", filepath.Base(name), len(kd), len(ours))
			continue
		}
		for _, r := range [][2]int{{0x36, 0x38}, {0x298, 0x2c0}, {0x2e0, 0x2f4}, {0x338, 0x35e}, {0x380, 0x388}, {0x398, 0x39a}} {
			for off := r[0]; off < r[1] && off < len(kd); off += 2 {
				if u16(kd, off) != u16(ours, off) {
					t.Errorf("%s (%s): +%#x is %#x, lab %#x", filepath.Base(name), b, off, u16(kd, off), u16(ours, off))
				}
			}
		}
		// Pointers: those that the lab fills are those that Windows fills.
		for off := 0x20; off < 0x298; off += 8 {
			if isPointer, lab := u64(kd, off)>>48 == 0xffff, u64(ours, off)>>48 == 0xffff; lab && !isPointer {
				t.Errorf("%s (%s): +%#x is %#x, lab has a pointer", filepath.Base(name), b, off, u64(kd, off))
			}
		}
	}
}

// TestCorpus_Layout: real dumps have the parts of the lab's dumps at the same distances,
// and the same sizes of the objects.
func TestCorpus_Layout(t *testing.T) {
	for name, b := range realDumps(t) {
		real, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		d := Machine(b)
		ours := write(t, d)
		if u32(real, 0x2044) != u32(ours, 0x2044) {
			t.Errorf("%s: TriageOptions %#x, lab %#x", filepath.Base(name), u32(real, 0x2044), u32(ours, 0x2044))
		}
		distance := func(f []byte, from, to int) uint32 { return u32(f, 0x2000+to) - u32(f, 0x2000+from) }
		pairs := map[string][2]int{"KPRCB": {0x1c, 0x20}, "EPROCESS": {0x20, 0x24}}
		if b.layout == Old {
			pairs["unloaded drivers"] = [2]int{0x18, 0x30}
		}
		for what, p := range pairs {
			if got, want := distance(real, p[0], p[1]), distance(ours, p[0], p[1]); got != want {
				t.Errorf("%s (%s): %s has %#x bytes, lab %#x", filepath.Base(name), b, what, got, want)
			}
		}
		for what, entry := range map[string][3]uint32{
			"driver list":   {u32(real, 0x2030) + 0x90*u32(real, 0x2034), u32(real, 0x2038)},
			"data blocks":   {u32(real, 0x2078) + 16*u32(real, 0x207c), u32(real, int(u32(real, 0x2078))+8)},
			"stack's end":   {u32(real, 0x2028) + u32(real, 0x202c), u32(real, 0x2070)},
			"debugger data": {u32(real, 0x2074), uint32(b.debugger)},
		} {
			if entry[0] != entry[1] {
				t.Errorf("%s (%s): %s ends at %#x, the next part starts at %#x", filepath.Base(name), b, what, entry[0], entry[1])
			}
		}
		if process := int(u32(real, 0x2020)); real[process+int(b.process.name)] < 'A' || real[process+int(b.process.name)+14] != 0 {
			t.Errorf("%s (%s): no name at EPROCESS+%#x", filepath.Base(name), b, b.process.name)
		}
		// A crash in a DPC leaves the DPC stack, not the thread's: train-9f.dmp.
		limit, base := u64(real, int(u32(real, 0x2024))+int(b.thread.limit)), u64(real, int(u32(real, 0x2024))+int(b.thread.base))
		if top := u64(real, 0x2048); top >= limit && top < base && base != top+uint64(u32(real, 0x202c)) {
			t.Errorf("%s (%s): KTHREAD.StackBase %#x is not the end of the stack", filepath.Base(name), b, base)
		}
		if cid, id := u64(real, int(u32(real, 0x2024))+int(b.thread.cid)), u64(real, int(u32(real, 0x2020))+int(b.process.id)); cid != id {
			t.Errorf("%s (%s): Cid %d, UniqueProcessId %d", filepath.Base(name), b, cid, id)
		}
	}
}
