package code

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"bugcheck/pdb"
	"bugcheck/pe"
)

// eachBuild runs a test on all images of each build.
func eachBuild(t *testing.T, do func(t *testing.T, images *Images)) {
	for _, arch := range []string{"x64", "arm64"} {
		for _, build := range Builds(arch) {
			t.Run(fmt.Sprint(arch, " ", build), func(t *testing.T) {
				images, err := Open(arch, build)
				if err != nil {
					t.Fatal(err)
				}
				if len(images.Names()) < 24 {
					t.Fatalf("images %v: want 24 and more", images.Names())
				}
				do(t, images)
			})
		}
	}
}

func openPE(t *testing.T, i *Image) *pe.File {
	t.Helper()
	f, err := pe.Open(bytes.NewReader(i.File), int64(len(i.File)), pe.InFile)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func openPDB(t *testing.T, i *Image) *pdb.File {
	t.Helper()
	f, err := pdb.Open(bytes.NewReader(i.PDB), int64(len(i.PDB)))
	if err != nil {
		t.Fatalf("%s: %v", i.PDBName, err)
	}
	return f
}

// TestImages_Identity: an image names its symbol file, carries a checksum that is
// right and the version of its build.
func TestImages_Identity(t *testing.T) {
	eachBuild(t, func(t *testing.T, images *Images) {
		for _, name := range images.Names() {
			i, _ := images.Image(strings.ToUpper(name))
			f := openPE(t, i)
			id, err := f.PDB()
			if err != nil || id.Path != i.PDBName {
				t.Errorf("%s names %q (%v), want %q", name, id.Path, err, i.PDBName)
			}
			if symbols := openPDB(t, i); id.Key() != symbols.Key() {
				t.Errorf("%s wants symbols %s, but %s is %s", name, id.Key(), i.PDBName, symbols.Key())
			}
			if got := checksum(i.File); got != i.Checksum {
				t.Errorf("%s: checksum %#x, want %#x", name, i.Checksum, got)
			}
			v, err := f.Version()
			if err != nil || v.Strings["OriginalFilename"] == "" {
				t.Errorf("%s: version %+v, %v", name, v, err)
			}
			if own := strings.HasPrefix(name, "lab") || strings.Contains(name, "myfault"); !own && int(v.File[2]) != images.Build {
				t.Errorf("%s has version %v, want one of build %d", name, v.File, images.Build)
			}
			if i.Size == 0 || i.Timestamp == 0 {
				t.Errorf("%s: size %#x, timestamp %#x", name, i.Size, i.Timestamp)
			}
		}
	})
}

// checksum is that of the optional header: the sum of all words but its own two,
// carries added, and the length of the file.
func checksum(b []byte) uint32 {
	at := int(le.Uint32(b[0x3c:])) + 0x58
	sum := uint32(0)
	for n := 0; n+1 < len(b); n += 2 {
		if n != at && n != at+2 {
			sum += uint32(le.Uint16(b[n:]))
			sum = sum&0xffff + sum>>16
		}
	}
	return sum&0xffff + sum>>16 + uint32(len(b))
}

// TestImages_Symbols: the names that Symbol knows and those of the symbol file
// agree, and no name of a mark is in a symbol file.
func TestImages_Symbols(t *testing.T) {
	eachBuild(t, func(t *testing.T, images *Images) {
		for _, name := range images.Names() {
			i, _ := images.Image(name)
			publics, err := openPDB(t, i).Publics()
			if err != nil || len(publics) == 0 {
				t.Fatalf("%s: %d symbols, %v", i.PDBName, len(publics), err)
			}
			for _, p := range publics {
				if rva, ok := i.Symbol(p.Name); ok && rva != p.RVA {
					t.Errorf("%s!%s is at %#x, its symbol file says %#x", name, p.Name, rva, p.RVA)
				} else if !ok && !strings.HasPrefix(p.Name, "__") && p.Name[0] != '.' {
					t.Errorf("%s!%s is not known", name, p.Name)
				}
				if strings.HasSuffix(p.Name, "_fault") || strings.HasSuffix(p.Name, "_spin") {
					t.Errorf("%s: the mark %s is in the symbol file", name, p.Name)
				}
			}
		}
	})
}

// TestImages_CallSites: before each return address is a call, and the function
// that is said to be called begins where it leads.
func TestImages_CallSites(t *testing.T) {
	eachBuild(t, func(t *testing.T, images *Images) {
		for _, name := range images.Names() {
			i, _ := images.Image(name)
			for _, c := range i.calls {
				target, ok := calls(i, c.returns)
				if !ok {
					t.Errorf("%s+%#x (%s): no call is before it", name, c.returns, c.callee)
				}
				if rva, known := i.Symbol(c.callee); target != 0 && (!known || rva != target) {
					t.Errorf("%s+%#x calls %#x, want %s at %#x", name, c.returns, target, c.callee, rva)
				}
			}
		}
	})
}

// calls decodes the call that ends at an RVA; target is 0 for one through memory
// or a register.
func calls(i *Image, end uint32) (target uint32, ok bool) {
	if i.Machine == machineARM64 {
		v := le.Uint32(i.at(end - 4))
		if v>>26 == 0x25 { // bl
			return end - 4 + uint32(int32(v<<6)>>6*4), true
		}
		return 0, v&0xfffffc1f == 0xd63f0000 // blr
	}
	b := i.at(end - 7)[:7]
	for n := 2; n <= 7; n++ {
		c := b[7-n:]
		if c[0] == 0x41 && n > 2 {
			c = c[1:]
		}
		if c[0] == 0xff && c[1]>>3&7 == 2 {
			return 0, true
		}
	}
	return end + le.Uint32(b[3:]), b[2] == 0xe8
}

// TestImages_Kernel: what recipes ask of a kernel is there.
func TestImages_Kernel(t *testing.T) {
	eachBuild(t, func(t *testing.T, images *Images) {
		nt, _ := images.Image("ntoskrnl.exe")
		for _, s := range strings.Fields(`PsLoadedModuleList PsActiveProcessHead KdDebuggerDataBlock KdVersionBlock KdpDataBlockEncoded
			KiBugCheckData KiBugCheckDriver NtBuildLab NtBuildLabEx NtBuildNumber KiProcessorBlock KeNumberProcessors PspCidTable
			MmUnloadedDrivers MmLastUnloadedDriver MmPhysicalMemoryBlock MmPfnDatabase MmHighestUserAddress MmSystemRangeStart
			MmUserProbeAddress MmSizeOfPagedPoolInBytes MmPagedPoolCommit PoolTrackTable PoolTrackTableSize PoolTrackTableExpansion
			PoolTrackTableExpansionSize PoolBigPageTable PoolBigPageTableSize ExPoolState RtlpHpHeapGlobals MiState
			ExpSystemResourcesList ObpRootDirectoryObject ObpTypeObjectType ObTypeIndexTable ObHeaderCookie IopErrorLogListHead
			KeBugCheckCallbackListHead KeTimeIncrement KdPrintCircularBuffer KdPrintBufferSize KeLoaderBlock
			IopNumTriageDumpDataBlocks IopTriageDumpDataBlocks EtwpDebuggerData CmpHiveListHead CmNtCSDVersion MmTriageActionTaken
			MmSpecialPoolTag KernelVerifier MmVerifierData KiWaitNever KiWaitAlways PsInitialSystemProcess PsIdleProcess
			KiInitialProcess KiInitialThread MmBadPointer HvlEnlightenments KiSystemServiceCopyEnd`) {
			if _, ok := nt.Symbol(s); !ok {
				t.Errorf("the kernel has no %s", s)
			}
		}
		var sections []string
		for _, s := range nt.Sections {
			sections = append(sections, s.Name)
		}
		for _, s := range []string{".text", "PAGE", "INIT", ".pdata", ".data", ".reloc"} {
			if !slices.Contains(sections, s) {
				t.Errorf("the kernel has sections %v, want %s", sections, s)
			}
		}
	})
}

// TestImages_Types: the structures in the kernel's symbol file are those of the
// table that Size and Field read.
func TestImages_Types(t *testing.T) {
	eachBuild(t, func(t *testing.T, images *Images) {
		nt, _ := images.Image("ntoskrnl.exe")
		f := openPDB(t, nt)
		fields := 0
		for name, s := range images.structures {
			typ, ok, err := f.Type(name)
			if err != nil || !ok || int(typ.Size) != s.size {
				t.Errorf("%s: size %#x (%t, %v), want %#x", name, typ.Size, ok, err, s.size)
				continue
			}
			for path, want := range s.fields {
				if want.kind == "nested" {
					continue
				}
				fields++
				if off, ok := f.Field(name, path); !ok || int(off) != want.offset {
					t.Errorf("%s.%s: at %#x (%t), want %#x", name, path, off, ok, want.offset)
				}
			}
		}
		if fields < 700 {
			t.Errorf("%d fields, want more", fields)
		}
	})
}

func TestImages_Field(t *testing.T) {
	images, err := Open("x64", 19041)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, path string
		want       int
	}{
		{"_EPROCESS", "ImageFileName", 0x5a8}, {"_EPROCESS", "Pcb.DirectoryTableBase", 0x28}, {"_ETHREAD", "Tcb.ApcState.Process", 0xb8},
		{"_IRP", "Tail.Overlay.CurrentStackLocation", 0xb8}, {"_MMPTE", "u.Hard.PageFrameNumber", 0},
		{"_IO_STACK_LOCATION", "Parameters.DeviceIoControl.IoControlCode", 0x18},
	} {
		if got, ok := images.Field(c.name, c.path); !ok || got != c.want {
			t.Errorf("%s.%s: %#x (%t), want %#x", c.name, c.path, got, ok, c.want)
		}
	}
	if _, ok := images.Field("_EPROCESS", "Pcb.NoSuchField"); ok {
		t.Error("a field that is not there was found")
	}
	if off, first, length, ok := images.Bits("_MMPTE", "u.Hard.PageFrameNumber"); !ok || off != 0 || first != 12 || length != 36 {
		t.Errorf("_MMPTE_HARDWARE.PageFrameNumber: %d:%d:%d (%t), want 0:12:36", off, first, length, ok)
	}
	if _, _, _, ok := images.Bits("_EPROCESS", "ImageFileName"); ok {
		t.Error("an array is no bit field")
	}
}

// TestMapped: sections lie at their RVAs as pe reads them from the file, words
// that are relocated moved with the image, imports lead to what they name.
func TestMapped(t *testing.T) {
	for _, arch := range []string{"x64", "arm64"} {
		m := newMachine(t, arch, 26100)
		for _, name := range m.images.Names() {
			i, _ := m.images.Image(name)
			f := openPE(t, i)
			base := m.bases[name]
			mapped, err := i.Mapped(base, m.resolve)
			if err != nil {
				t.Fatal(err)
			}
			if len(mapped) != int(i.Size) {
				t.Errorf("%s: %#x bytes, want %#x", name, len(mapped), i.Size)
			}
			changed := i.wantChanges(t, f, m, base)
			for _, s := range i.Sections {
				want := make([]byte, s.Size)
				n, _ := f.ReadAt(want, pe.RVA(s.RVA))
				for at := 0; at+8 <= n; at += 8 {
					rva := s.RVA + uint32(at)
					w, ok := changed[rva]
					if !ok {
						w = le.Uint64(want[at:])
					}
					if got := le.Uint64(mapped[rva:]); got != w {
						t.Errorf("%s+%#x: %#x, want %#x", name, rva, got, w)
					}
				}
			}
		}
	}
}

// wantChanges are the words that a loader changes, by RVA.
func (i *Image) wantChanges(t *testing.T, f *pe.File, m *machine, base uint64) map[uint32]uint64 {
	t.Helper()
	changed := map[uint32]uint64{}
	relocs, err := f.Relocations()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range relocs {
		changed[uint32(r.RVA)] = le.Uint64(i.at(uint32(r.RVA))) - i.Preferred + base
	}
	imports, err := f.Imports()
	if err != nil {
		t.Fatal(err)
	}
	for _, module := range imports {
		for _, function := range module.Functions {
			v := m.resolve(module.Module, function.Name)
			if other, ok := m.images.Image(module.Module); !ok || v == m.bases[other.Name] {
				t.Errorf("%s imports %s!%s, which is not there", i.Name, module.Module, function.Name)
			}
			changed[uint32(function.Slot)] = v
		}
	}
	return changed
}
