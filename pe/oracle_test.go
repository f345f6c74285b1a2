package pe_test

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"bugcheck/internal/corpus"
	"bugcheck/pe"

	"github.com/google/go-cmp/cmp"
)

// corpusImages lists the real images.
func corpusImages(t *testing.T) []string {
	t.Helper()
	var list []string
	err := filepath.WalkDir(corpus.Dir(t, "pe"), func(path string, _ fs.DirEntry, err error) error {
		switch strings.ToLower(filepath.Ext(path)) {
		case ".exe", ".dll", ".sys":
			list = append(list, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// eachImage runs a test on every real image.
func eachImage(t *testing.T, test func(t *testing.T, path string, b []byte, f *pe.File)) {
	for _, path := range corpusImages(t) {
		t.Run(filepath.Base(filepath.Dir(path))+"/"+filepath.Base(path), func(t *testing.T) {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			test(t, path, b, open(t, b, pe.InFile))
		})
	}
}

// readobj runs llvm-readobj, an independent reader.
func readobj(t *testing.T, path, what string) string {
	t.Helper()
	for _, name := range []string{"llvm-readobj-19", "llvm-readobj-16", "llvm-readobj-14", "llvm-readobj"} {
		tool, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		out, err := exec.Command(tool, what, path).Output()
		if err != nil {
			t.Fatalf("%s %s: %v", name, what, err)
		}
		return string(out)
	}
	corpus.Missing(t, "llvm-readobj is not here")
	return ""
}

// lines cuts "Key: value" out of llvm-readobj's text, for some keys.
func lines(out string, keys ...string) []string {
	var list []string
	for line := range strings.Lines(out) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if slices.Contains(keys, key) {
			list = append(list, key+":"+strings.TrimRight(value, " "))
		}
	}
	return list
}

// same compares what llvm-readobj says with what we say, line by line.
func same(t *testing.T, what string, want, got []string, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("%s: %v", what, err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-llvm +ours):\n%.2000s", what, d)
	}
	t.Logf("%s: %d lines", what, len(want))
}

func TestOracle_Headers(t *testing.T) {
	var hexadecimal = regexp.MustCompile(`\(0x([0-9A-F]+)\)`)
	eachImage(t, func(t *testing.T, path string, _ []byte, f *pe.File) {
		out := readobj(t, path, "--file-headers")
		var want []string
		for _, line := range lines(out, "Machine", "TimeDateStamp", "AddressOfEntryPoint", "ImageBase", "SectionAlignment", "FileAlignment",
			"SizeOfImage", "SizeOfHeaders", "Subsystem", "ExportTableRVA", "ExceptionTableSize", "DebugRVA", "LoadConfigTableSize") {
			if m := hexadecimal.FindStringSubmatch(line); m != nil {
				line = line[:strings.Index(line, ":")] + ": 0x" + m[1]
			}
			want = append(want, line)
		}
		h := f.Header
		got := []string{
			fmt.Sprintf("Machine: 0x%X", uint16(h.Machine)),
			fmt.Sprintf("TimeDateStamp: 0x%X", h.Timestamp),
			fmt.Sprintf("AddressOfEntryPoint: 0x%X", uint32(h.EntryPoint)),
			fmt.Sprintf("ImageBase: 0x%X", uint64(h.ImageBase)),
			fmt.Sprintf("SectionAlignment: %d", h.SectionAlignment),
			fmt.Sprintf("FileAlignment: %d", h.FileAlignment),
			fmt.Sprintf("SizeOfImage: %d", h.SizeOfImage),
			fmt.Sprintf("SizeOfHeaders: %d", h.SizeOfHeaders),
			fmt.Sprintf("Subsystem: 0x%X", h.Subsystem),
			fmt.Sprintf("ExportTableRVA: 0x%X", uint32(f.Directories[pe.ExportDirectory].RVA)),
			fmt.Sprintf("ExceptionTableSize: 0x%X", f.Directories[pe.ExceptionDirectory].Size),
			fmt.Sprintf("DebugRVA: 0x%X", uint32(f.Directories[pe.DebugDirectory].RVA)),
			fmt.Sprintf("LoadConfigTableSize: 0x%X", f.Directories[pe.LoadConfigDirectory].Size),
		}
		same(t, "headers", want, got, nil)
		for _, c := range []uint16{h.Characteristics, h.DLLCharacteristics} {
			if line := fmt.Sprintf("Characteristics [ (0x%X)", c); !strings.Contains(out, line) {
				t.Errorf("llvm-readobj does not say %s", line)
			}
		}
	})
}

func TestOracle_Sections(t *testing.T) {
	eachImage(t, func(t *testing.T, path string, _ []byte, f *pe.File) {
		want := lines(readobj(t, path, "--sections"), "Name", "VirtualSize", "VirtualAddress", "RawDataSize", "PointerToRawData", "Characteristics [ (0x")
		for i, line := range want {
			if strings.HasPrefix(line, "Name: ") {
				want[i] = strings.TrimRight(line[:strings.LastIndex(line, "(")], " ")
			}
		}
		list, err := f.Sections()
		var got []string
		for _, s := range list {
			got = append(got, "Name: "+s.Name,
				fmt.Sprintf("VirtualSize: 0x%X", s.VirtualSize),
				fmt.Sprintf("VirtualAddress: 0x%X", uint32(s.RVA)),
				fmt.Sprintf("RawDataSize: %d", s.RawSize),
				fmt.Sprintf("PointerToRawData: 0x%X", s.Offset))
		}
		same(t, "sections", want, got, err)
	})
}

func TestOracle_Exports(t *testing.T) {
	eachImage(t, func(t *testing.T, path string, _ []byte, f *pe.File) {
		want := lines(readobj(t, path, "--coff-exports"), "Ordinal", "Name", "RVA", "ForwardedTo")
		list, err := f.Exports()
		var got []string
		for _, e := range list {
			got = append(got, fmt.Sprintf("Ordinal: %d", e.Ordinal), strings.TrimRight("Name: "+e.Name, " "))
			if e.Forwarder != "" {
				got = append(got, "ForwardedTo: "+e.Forwarder)
			} else {
				got = append(got, fmt.Sprintf("RVA: 0x%X", uint32(e.RVA)))
			}
		}
		same(t, "exports", want, got, err)
	})
}

func TestOracle_Imports(t *testing.T) {
	hint := regexp.MustCompile(`^Symbol: (.+) \(\d+\)$`)
	eachImage(t, func(t *testing.T, path string, _ []byte, f *pe.File) {
		out, _, _ := strings.Cut(readobj(t, path, "--coff-imports"), "DelayImport {")
		want := lines(out, "Name", "Symbol")
		for i, line := range want {
			if m := hint.FindStringSubmatch(line); m != nil {
				want[i] = "Symbol: " + m[1]
			}
		}
		list, err := f.Imports()
		var got []string
		for _, imp := range list {
			got = append(got, "Name: "+imp.Module)
			for _, fn := range imp.Functions {
				if fn.Name == "" {
					got = append(got, fmt.Sprintf("Symbol:  (%d)", fn.Ordinal))
				} else {
					got = append(got, "Symbol: "+fn.Name)
				}
			}
		}
		same(t, "imports", want, got, err)
	})
}

func TestOracle_Debug(t *testing.T) {
	kind := regexp.MustCompile(`\(0x([0-9A-F]+)\)$`)
	eachImage(t, func(t *testing.T, path string, _ []byte, f *pe.File) {
		var want []string
		for _, line := range lines(readobj(t, path, "--coff-debug-directory"), "Type", "SizeOfData", "AddressOfRawData", "PointerToRawData", "PDBGUID", "PDBAge", "PDBFileName") {
			if m := kind.FindStringSubmatch(line); m != nil && strings.HasPrefix(line, "Type") {
				line = "Type: 0x" + m[1]
			}
			want = append(want, line)
		}
		pdb, err := f.PDB()
		list, err2 := f.DebugEntries()
		if err == nil {
			err = err2
		}
		var got []string
		for _, d := range list {
			got = append(got, fmt.Sprintf("Type: 0x%X", d.Type), fmt.Sprintf("SizeOfData: 0x%X", d.Size),
				fmt.Sprintf("AddressOfRawData: 0x%X", uint32(d.RVA)), fmt.Sprintf("PointerToRawData: 0x%X", d.Offset))
			if d.Type == pe.DebugCodeView {
				// llvm-readobj 14 writes the GUID's bytes, later ones the GUID.
				guid := fmt.Sprintf("PDBGUID: (% X)", pdb.GUID[:])
				if slices.Contains(want, "PDBGUID: "+strings.ToUpper(pdb.GUID.String())) {
					guid = "PDBGUID: " + strings.ToUpper(pdb.GUID.String())
				}
				got = append(got, guid, fmt.Sprintf("PDBAge: %d", pdb.Age), strings.TrimRight("PDBFileName: "+pdb.Path, " "))
			}
		}
		same(t, "debug directory", want, got, err)
	})
}

// chained matches an entry that llvm-readobj repeats inside another.
var chained = regexp.MustCompile(`Chained \{[^}]*\}`)

var lastHex = regexp.MustCompile(`0x([0-9A-Fa-f]+)\)?$`)

// address is the last hexadecimal number of a line, as an RVA.
func address(t *testing.T, line string, base uint64) uint64 {
	t.Helper()
	m := lastHex.FindStringSubmatch(line)
	if m == nil {
		t.Fatalf("no address in %q", line)
	}
	v, err := strconv.ParseUint(m[1], 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v - base
}

func TestOracle_Functions(t *testing.T) {
	eachImage(t, func(t *testing.T, path string, _ []byte, f *pe.File) {
		base := uint64(f.Header.ImageBase)
		var want []string
		out := chained.ReplaceAllString(readobj(t, path, "--unwind"), "")
		for _, line := range lines(out, "StartAddress", "EndAddress", "UnwindInfoAddress", "Function", "ExceptionRecord", "FunctionLength") {
			key, value, _ := strings.Cut(line, ": ")
			if key != "FunctionLength" {
				value = fmt.Sprintf("%#x", address(t, line, base))
			}
			want = append(want, key+": "+value)
		}
		list, err := f.Functions()
		var got []string
		for _, fn := range list {
			got = append(got, functionLines(f.Header.Machine, fn)...)
		}
		same(t, "functions", want, got, err)
		for _, fn := range list {
			for _, rva := range []pe.RVA{fn.Begin, fn.End - 1} {
				if found, ok, err := f.Function(rva); !ok || err != nil || found != fn {
					t.Errorf("Function(%v) = %+v, %v, %v; want %+v", rva, found, ok, err, fn)
				}
			}
		}
		t.Logf("%d functions", len(list))
	})
}

func functionLines(machine pe.Machine, fn pe.Function) []string {
	length := fmt.Sprintf("FunctionLength: %d", fn.End-fn.Begin)
	switch {
	case machine == pe.X64:
		return []string{fmt.Sprintf("StartAddress: %#x", uint32(fn.Begin)), fmt.Sprintf("EndAddress: %#x", uint32(fn.End)),
			fmt.Sprintf("UnwindInfoAddress: %#x", uint32(fn.Unwind))}
	case fn.Packed != 0:
		return []string{fmt.Sprintf("Function: %#x", uint32(fn.Begin)), length}
	}
	return []string{fmt.Sprintf("Function: %#x", uint32(fn.Begin)), fmt.Sprintf("ExceptionRecord: %#x", uint32(fn.Unwind)), length}
}

func TestOracle_Relocations(t *testing.T) {
	names := map[uint8]string{pe.RelocHigh: "HIGH", pe.RelocLow: "LOW", pe.RelocHighLow: "HIGHLOW", pe.RelocHighAdj: "HIGHADJ", pe.RelocDir64: "DIR64"}
	eachImage(t, func(t *testing.T, path string, _ []byte, f *pe.File) {
		var want, got []string
		all := lines(readobj(t, path, "--coff-basereloc"), "Type", "Address")
		for i := 0; i+1 < len(all); i += 2 {
			if all[i] != "Type: ABSOLUTE" {
				want = append(want, all[i]+" "+all[i+1])
			}
		}
		list, err := f.Relocations()
		for _, r := range list {
			got = append(got, fmt.Sprintf("Type: %s Address: 0x%X", names[r.Type], uint32(r.RVA)))
		}
		same(t, "relocations", want, got, err)
	})
}

func TestOracle_LoadConfig(t *testing.T) {
	eachImage(t, func(t *testing.T, path string, _ []byte, f *pe.File) {
		out := readobj(t, path, "--coff-load-config")
		_, out, ok := strings.Cut(out, "LoadConfig [\n")
		if !ok {
			if f.Directories[pe.LoadConfigDirectory].RVA != 0 {
				t.Fatal("llvm-readobj shows no load configuration, the image names one")
			}
			return
		}
		want := lines(out, "Size", "SecurityCookie", "GuardCFCheckFunction", "GuardCFCheckDispatch", "GuardCFFunctionTable",
			"GuardCFFunctionCount", "CHPEMetadataPointer", "DynamicValueRelocTableOffset", "DynamicValueRelocTableSection",
			"GuardEHContinuationTable", "GuardEHContinuationCount")
		c, err := f.LoadConfig()
		got := []string{
			fmt.Sprintf("Size: 0x%X", c.Size),
			fmt.Sprintf("SecurityCookie: 0x%X", uint64(c.SecurityCookie)),
			fmt.Sprintf("GuardCFCheckFunction: 0x%X", uint64(c.GuardCheck)),
			fmt.Sprintf("GuardCFCheckDispatch: 0x%X", uint64(c.GuardDispatch)),
			fmt.Sprintf("GuardCFFunctionTable: 0x%X", uint64(c.GuardFunctions)),
			fmt.Sprintf("GuardCFFunctionCount: %d", c.GuardFunctionCount),
			fmt.Sprintf("CHPEMetadataPointer: 0x%X", uint64(c.CHPEMetadata)),
			fmt.Sprintf("DynamicValueRelocTableOffset: 0x%X", c.DynamicRelocOffset),
			fmt.Sprintf("DynamicValueRelocTableSection: %d", c.DynamicRelocIndex),
			fmt.Sprintf("GuardEHContinuationTable: 0x%X", uint64(c.EHContinuations)),
			fmt.Sprintf("GuardEHContinuationCount: %d", c.EHContinuationsLen),
		}
		// llvm-readobj leaves off the lines that the structure is too short for.
		got = slices.DeleteFunc(got, func(line string) bool {
			key, value, _ := strings.Cut(line, ":")
			return (value == " 0" || value == " 0x0") && !strings.Contains(out, key+":")
		})
		same(t, "load configuration", want, got, err)
		if flags := fmt.Sprintf("(0x%X)", c.GuardFlags); c.GuardFlags != 0 && !strings.Contains(out, flags) {
			t.Errorf("llvm-readobj does not say GuardFlags %s", flags)
		}
	})
}
