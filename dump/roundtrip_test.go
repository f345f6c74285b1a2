package dump_test

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"bugcheck/dump"
	"bugcheck/lab"
	"bugcheck/mem"
)

func arch(b *lab.Build) dump.Arch {
	switch {
	case strings.HasSuffix(b.String(), "ARM64"):
		return dump.ARM64
	case strings.HasSuffix(b.String(), "x86"):
		return dump.X86
	}
	return dump.X64
}

func TestOpen_Header(t *testing.T) {
	eachLab(t, func(t *testing.T, d *lab.Dump) {
		b := labBytes(t, d)
		f := open(t, b)
		h := f.Header
		for _, tt := range []struct {
			field     string
			got, want any
		}{
			{"Kind", f.Kind, dump.Triage},
			{"Arch", f.Arch, arch(d.Build)},
			{"Size", f.Size, int64(len(b))},
			{"Truncated", f.Truncated, false},
			{"Notes", len(f.Notes), 0},
			{"Build", h.Build, d.Build.Number()},
			{"Checked", h.Checked, false},
			{"BugCheckCode", h.BugCheckCode, d.Code},
			{"Parameters", h.Parameters, d.Parameters},
			{"Processors", h.Processors, uint32(d.Processors)},
			{"DirectoryTable", h.DirectoryTable, mem.PA(d.Process.DirectoryTableBase)},
			{"DumpType", h.DumpType, uint32(4)},
			{"Time", h.Time.Equal(d.Time), true},
			{"Uptime", h.Uptime, d.Uptime},
			{"Comment", h.Comment, d.Comment},
			{"ProductType", h.ProductType, d.Product},
			{"SuiteMask", h.SuiteMask, d.Suite},
			{"PAE", h.PAE, arch(d.Build) == dump.X86},
		} {
			if !reflect.DeepEqual(tt.got, tt.want) {
				t.Errorf("%s = %v, want %v", tt.field, tt.got, tt.want)
			}
		}
		nt := mem.VA(d.Drivers[0].Base)
		for name, va := range map[string]mem.VA{"LoadedModules": h.LoadedModules, "ProcessHead": h.ProcessHead, "DebuggerData": h.DebuggerData} {
			if va < nt || va >= nt+mem.VA(d.Drivers[0].Size) {
				t.Errorf("%s = %v, want an address in the kernel at %v", name, va, nt)
			}
		}
	})
}

func TestOpen_NoComment(t *testing.T) {
	for _, b := range builds {
		d := lab.Machine(b)
		if got := open(t, labBytes(t, d)).Header.Comment; got != "" {
			t.Errorf("%v: Comment = %q, want none where Windows wrote none", b, got)
		}
	}
}

// BootId and Attributes: only some writers fill them.
func TestOpen_BootID(t *testing.T) {
	eachLab(t, func(t *testing.T, d *lab.Dump) {
		h := open(t, labBytes(t, d)).Header
		written := d.Layout == lab.Old || d.Build.Number() >= 22000
		if (h.BootID != nil) != written || written && *h.BootID != d.BootID {
			t.Errorf("BootID = %v, want %d (written: %v)", h.BootID, d.BootID, written)
		}
		if got, want := h.Attributes != nil, d.Layout == lab.Old; got != want {
			t.Errorf("Attributes known = %v, want %v", got, want)
		}
	})
}

func TestOpen_Drivers(t *testing.T) {
	eachLab(t, func(t *testing.T, d *lab.Dump) {
		f := open(t, labBytes(t, d))
		if len(f.Drivers) != len(d.Drivers) {
			t.Fatalf("%d drivers, want %d", len(f.Drivers), len(d.Drivers))
		}
		for i, want := range d.Drivers {
			got, name := f.Drivers[i], want.Path[strings.LastIndexByte(want.Path, '\\')+1:]
			if got.Name != name || got.Base != mem.VA(want.Base) || got.Size != uint64(want.Size) ||
				got.Timestamp != want.Timestamp || got.Checksum != want.Checksum {
				t.Errorf("driver %d = %+v, want %+v", i, got, want)
			}
			if path := map[lab.Layout]string{lab.New: want.Path}[d.Layout]; got.Path != path {
				t.Errorf("driver %d: path %q, want %q", i, got.Path, path)
			}
			if got.End() != got.Base+mem.VA(want.Size) {
				t.Errorf("driver %d: End() = %v", i, got.End())
			}
		}
	})
}

func TestOpen_Unloaded(t *testing.T) {
	eachLab(t, func(t *testing.T, d *lab.Dump) {
		var want []dump.Unloaded
		for _, u := range d.Unloaded {
			want = append(want, dump.Unloaded{Name: u.Name[:min(len(u.Name), 12)], Start: mem.VA(u.Start), End: mem.VA(u.End)})
		}
		if got := open(t, labBytes(t, d)).Unloaded; !reflect.DeepEqual(got, want) {
			t.Errorf("Unloaded = %+v, want %+v", got, want)
		}
		d.Unloaded = nil
		if got := open(t, labBytes(t, d)).Unloaded; len(got) != 0 {
			t.Errorf("Unloaded = %+v, want none", got)
		}
	})
}

func TestOpen_StackAndRegisters(t *testing.T) {
	eachLab(t, func(t *testing.T, d *lab.Dump) {
		f := open(t, labBytes(t, d))
		want := make([]byte, d.Stack.Base-d.Stack.Address)
		for _, b := range d.Stack.Contents {
			copy(want[b.Address-d.Stack.Address:], b.Data)
		}
		if f.Blocks.StackTop != mem.VA(d.Stack.Address) || !bytes.Equal(f.Blocks.Stack, want) {
			t.Errorf("stack of %d bytes at %v, want %d at %#x", len(f.Blocks.Stack), f.Blocks.StackTop, len(want), d.Stack.Address)
		}
		if got, err := mem.Read(f.Memory, mem.VA(d.Stack.Address), len(want)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("the stack read through Memory: error %v, equal %v", err, bytes.Equal(got, want))
		}
		if c := d.Registers.Context(); !bytes.HasPrefix(f.Context, c) {
			t.Errorf("Context of %d bytes does not begin with the recipe's %d", len(f.Context), len(c))
		}
		if f.Exception == nil || f.Exception.Code != 0x80000003 || f.Exception.Flags != 1 || len(f.Exception.Parameters) != 0 {
			t.Errorf("Exception = %+v, want a breakpoint", f.Exception)
		}
	})
}

func TestOpen_Blocks(t *testing.T) {
	eachLab(t, func(t *testing.T, d *lab.Dump) {
		f := open(t, labBytes(t, d))
		if len(d.Blocks) == 0 {
			t.Fatal("the recipe has no data blocks")
		}
		for _, want := range d.Blocks {
			got, err := mem.Read(f.Memory, mem.VA(want.Address), len(want.Data))
			if err != nil || !bytes.Equal(got, want.Data) {
				t.Errorf("block of %d bytes at %#x: error %v, equal %v", len(want.Data), want.Address, err, bytes.Equal(got, want.Data))
			}
		}
		_, err := mem.Read(f.Memory, 0x1234, 1)
		if !mem.IsMissing(err) {
			t.Errorf("reading what no block holds: %v, want a fault", err)
		}
		for name, b := range map[string][]byte{"PRCB": f.Blocks.PRCB, "Process": f.Blocks.Process, "Thread": f.Blocks.Thread} {
			if len(b) < 0x100 || bytes.Count(b, []byte{0}) == len(b) {
				t.Errorf("%s block of %d bytes is empty", name, len(b))
			}
		}
		if got := string(f.Blocks.DebuggerData[0x10:0x14]); got != "KDBG" {
			t.Errorf("debugger data block holds %q, want KDBG", got)
		}
	})
}

func TestOpen_Tagged(t *testing.T) {
	eachLab(t, func(t *testing.T, d *lab.Dump) {
		f := open(t, labBytes(t, d))
		if got, want := len(f.Tagged), len(d.Tagged)+1; got != want { // SMBIOS is the last
			t.Fatalf("%d tagged blocks, want %d", got, want)
		}
		for i, want := range d.Tagged {
			got := f.Tagged[i]
			if got.GUID.String() != "{"+want.GUID+"}" || !bytes.Equal(got.Data, want.Data) {
				t.Errorf("block %d = %v, %d bytes; want %s, %d", i, got.GUID, len(got.Data), want.GUID, len(want.Data))
			}
			if data, ok := f.Tag("{" + want.GUID + "}"); !ok || !bytes.Equal(data, want.Data) {
				t.Errorf("Tag(%s) = %d bytes, %v; want %d", want.GUID, len(data), ok, len(want.Data))
			}
		}
		for i, want := range []string{"processor entry of the registry", "ETW buffers", "", "display (dxgkrnl) state", "SMBIOS tables"} {
			if got := f.Tagged[i].Name(); got != want {
				t.Errorf("name of block %d = %q, want %q", i, got, want)
			}
		}
		if _, ok := f.Tag(dump.TagWinLogon); ok {
			t.Error("Tag finds a block that the dump does not hold")
		}
	})
}

func TestOpen_Machine(t *testing.T) {
	eachLab(t, func(t *testing.T, d *lab.Dump) {
		f := open(t, labBytes(t, d))
		wantProcessor := dump.ProcessorEntry{Name: "Example CPU @ 2.50GHz", Identifier: "Example64 Family 6 Model 85 Stepping 4",
			Vendor: "GenuineExample", MHz: 2494}
		if got := f.Processor(); got != wantProcessor {
			t.Errorf("Processor() = %+v, want %+v", got, wantProcessor)
		}
		if got := f.BootBuild(); got != 19045 {
			t.Errorf("BootBuild() = %d, want 19045", got)
		}
		want := dump.SMBIOS{Manufacturer: d.SMBIOS.Manufacturer, Product: d.SMBIOS.Product, BIOSVendor: d.SMBIOS.BIOSVendor,
			BIOSVersion: d.SMBIOS.BIOSVersion, BIOSDate: d.SMBIOS.BIOSRelease}
		if got := f.SMBIOS(); !reflect.DeepEqual(got, want) {
			t.Errorf("SMBIOS() = %+v, want %+v", got, want)
		}
	})
}

// Without tagged data the machine is unknown, not an error.
func TestOpen_NoTaggedData(t *testing.T) {
	for _, b := range builds {
		d := lab.Machine(b)
		d.SMBIOS, d.Tagged, d.Slack = nil, nil, nil
		f := open(t, labBytes(t, d))
		if f.SMBIOS().Product != "" || f.Processor() != (dump.ProcessorEntry{}) || f.BootBuild() != 0 || len(f.Tagged) != 0 {
			t.Errorf("%v: SMBIOS %+v, processor %+v, boot build %d of a dump without tagged data", b, f.SMBIOS(), f.Processor(), f.BootBuild())
		}
		if len(f.Notes) != 0 || f.Truncated {
			t.Errorf("%v: notes %v, truncated %v; want none", b, f.Notes, f.Truncated)
		}
	}
}
