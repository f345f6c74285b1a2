package kernel_test

import (
	"strings"
	"testing"

	"bugcheck/internal/damage"
	"bugcheck/kernel"
	"bugcheck/lab"
	"bugcheck/mem"
	"bugcheck/report"
)

func TestModuleName(t *testing.T) {
	for _, tt := range []struct{ image, want string }{
		{"ntoskrnl.exe", "nt"},
		{"NTKRNLMP.EXE", "nt"},
		{"ntkrpamp.exe", "nt"},
		{"amdppm.sys", "amdppm"},
		{"Wdf01000.sys", "Wdf01000"},
		{"hal.dll", "hal"},
		{"dump_storvsc", "dump_storvsc"},
		{"my-driver.sys", "my_driver"},
		{"a.b.sys", "a_b"},
		{"cpuz143_x64.sys", "cpuz143_x64"},
		{"driver.x64", "driver"},
		{"driver.amd64", "driver_amd64"},
		{"Dröhnung.sys", "Dr_hnung"},
		{".sys", ""},
		{"", ""},
	} {
		if got := kernel.ModuleName(tt.image); got != tt.want {
			t.Errorf("ModuleName(%q) = %q, want %q", tt.image, got, tt.want)
		}
	}
}

func TestModules(t *testing.T) {
	eachLab(t, func(t *testing.T, d *lab.Dump) {
		m := open(t, d)
		if len(m.Modules) != len(d.Drivers) || m.Modules[0].Module != "nt" {
			t.Fatalf("%d modules, the first %q; want %d, nt", len(m.Modules), m.Modules[0].Module, len(d.Drivers))
		}
		for i, want := range d.Drivers {
			base, size := mem.VA(want.Base), mem.VA(want.Size)
			for _, va := range []mem.VA{base, base + 1, base + size/2, base + size - 1} {
				if got, ok := m.ModuleAt(va); !ok || got.Base != base {
					t.Errorf("ModuleAt(%v) = %s, %v; want %s", va, got.Name, ok, want.Path)
				}
			}
			name := want.Path[strings.LastIndexByte(want.Path, '\\')+1:]
			if got, ok := m.ModuleNamed(strings.ToUpper(name)); !ok || got.Base != m.Modules[i].Base {
				t.Errorf("ModuleNamed(%s) = %s, %v", strings.ToUpper(name), got.Name, ok)
			}
		}
		last := m.Modules[0]
		for _, mod := range m.Modules {
			if mod.Base > last.Base {
				last = mod
			}
		}
		for _, va := range []mem.VA{0, 0x1000, last.End(), 0xffffffffffffffff} {
			if got, ok := m.ModuleAt(va); ok {
				t.Errorf("ModuleAt(%v) = %s, want none", va, got.Name)
			}
		}
		if got, ok := m.ModuleNamed("nosuch.sys"); ok {
			t.Errorf("ModuleNamed(nosuch.sys) = %s", got.Name)
		}
	})
}

func TestUnloadedAt(t *testing.T) {
	eachLab(t, func(t *testing.T, d *lab.Dump) {
		m := open(t, d)
		for _, want := range d.Unloaded {
			for va, in := range map[uint64]bool{want.Start - 1: false, want.Start: true, want.End - 1: true, want.End: false} {
				got, ok := m.UnloadedAt(mem.VA(va))
				if ok != in || in && got.Start != mem.VA(want.Start) {
					t.Errorf("UnloadedAt(%#x) = %+v, %v; want in %s: %v", va, got, ok, want.Name, in)
				}
			}
		}
	})
}

// A dump without drivers answers everything with "not known".
func TestMachine_NoModules(t *testing.T) {
	for _, build := range builds {
		b := labBytes(t, lab.HighIRQLKernel(build))
		put32(b, damage.HeaderOf(b).Size+0x34, 0) // DriverCount
		m := openBytes(t, b)
		walk(t, m)
		if _, ok := m.ModuleAt(m.Blocks.StackTop); ok || len(m.Modules) != 0 || m.BuildLab() != "" {
			t.Errorf("%v: %d modules, lab %q", build, len(m.Modules), m.BuildLab())
		}
	}
}

func TestProcess(t *testing.T) {
	eachLab(t, func(t *testing.T, d *lab.Dump) {
		m := open(t, d)
		p, ok := m.Process()
		if name := d.Process.Name[:min(len(d.Process.Name), 14)]; !ok || p.Name != name {
			t.Errorf("process %q, %v; want %q", p.Name, ok, name)
		}
		if p.PID == nil || *p.PID != uint64(d.Process.ID) || p.Address != mem.VA(d.Process.Address) {
			t.Errorf("process %v at %v, want %d at %#x", p.PID, p.Address, d.Process.ID, d.Process.Address)
		}
		if p.Trust != report.Recorded {
			t.Errorf("trust %q, want %q: the layout of this kernel is known", p.Trust, report.Recorded)
		}
	})
}

// A kernel whose structures have other sizes is not in the table: the name is
// found where neighbours put it, and marked as a guess.
func TestProcess_UnknownLayout(t *testing.T) {
	b := labBytes(t, lab.SystemThreadException(lab.Windows19041))
	kdbg := int(u32(b, 0x2000+0x70))
	put32(b, kdbg+0x2a8, u32(b, kdbg+0x2a8)+8) // SizeEProcess
	m := openBytes(t, b)
	if p, ok := m.Process(); !ok || p.Name != "System" || p.Trust != report.Guessed {
		t.Errorf("Process() = %+v, %v; want System, guessed", p, ok)
	}
	if irql, ok := m.IRQL(); ok {
		t.Errorf("IRQL() = %d, want unknown", irql)
	}
}

func TestThread(t *testing.T) {
	eachLab(t, func(t *testing.T, d *lab.Dump) {
		m := open(t, d)
		th, ok := m.Thread()
		if !ok || th.Address != mem.VA(d.Thread.Address) || th.ID == nil || *th.ID != uint64(d.Thread.ID) {
			t.Errorf("Thread() = %+v, %v; want %d at %#x", th, ok, d.Thread.ID, d.Thread.Address)
		}
		low, high, ok := m.StackLimits()
		if !ok || low != mem.VA(d.Stack.Limit) || high != mem.VA(d.Stack.Base) {
			t.Errorf("StackLimits() = %v, %v, %v; want %#x, %#x", low, high, ok, d.Stack.Limit, d.Stack.Base)
		}
	})
}

func TestProcessor(t *testing.T) {
	eachLab(t, func(t *testing.T, d *lab.Dump) {
		got, want := open(t, d).Processor(), d.Processor
		if got.Number == nil || *got.Number != uint32(want.Number) || got.MHz != want.MHz {
			t.Errorf("processor %v, %d MHz; want %d, %d", got.Number, got.MHz, want.Number, want.MHz)
		}
		if vendor := map[bool]string{false: want.Vendor}[isARM64(d)]; got.Vendor != vendor {
			t.Errorf("vendor %q, want %q", got.Vendor, vendor)
		}
		if isX86(d) || isARM64(d) {
			return
		}
		if got.Family != uint16(want.Family) || got.Model != uint16(want.Model) || got.Stepping != uint16(want.Stepping) {
			t.Errorf("family %d model %d stepping %d, want %d %d %d", got.Family, got.Model, got.Stepping, want.Family, want.Model, want.Stepping)
		}
	})
}

func TestIRQL(t *testing.T) {
	for _, b := range builds {
		if b == lab.Windows22000ARM64 {
			continue // the lab has no place for it in that build
		}
		for _, want := range []uint8{0, 2, 15} {
			d := lab.HighIRQLKernel(b)
			d.Processor.IRQL = want
			if got, ok := open(t, d).IRQL(); !ok || got != want {
				t.Errorf("%v: IRQL() = %d, %v; want %d", b, got, ok, want)
			}
		}
		d := lab.HighIRQLKernel(b)
		d.Processor.IRQL = 0x7f
		if got, ok := open(t, d).IRQL(); ok {
			t.Errorf("%v: IRQL() = %d, want unknown: there is no IRQL 127", b, got)
		}
	}
}

func TestRelease(t *testing.T) {
	d := lab.HighIRQLKernel(lab.Windows19041)
	d.Product = 1
	m := open(t, d)
	if build, ok := m.ReleaseBuild(); ok {
		t.Errorf("ReleaseBuild() = %d; want none: the dump has no ETW block", build)
	}
	if got, want := m.BuildLab(), "19041.1.amd64fre.vb_release.191206-1406"; got != want {
		t.Errorf("BuildLab() = %q, want %q", got, want)
	}
	d.Tagged = []lab.Blob{{GUID: "2b88b710-1c93-4f7c-b06c-655ecc50decc", Data: lab.Words32(0, 0, 0xf0000000|19045).Data}}
	m = open(t, d)
	if build, ok := m.ReleaseBuild(); build != 19045 || !ok {
		t.Errorf("ReleaseBuild() = %d, %v; want 19045", build, ok)
	}
	if got, want := m.ReleaseName(), "Windows 10 22H2"; got != want {
		t.Errorf("ReleaseName() = %q, want %q", got, want)
	}
	if got, want := m.Version(), "10.0.19041"; got != want {
		t.Errorf("Version() = %q, want %q", got, want)
	}
}

// The label stands among the data blocks of the new layout only; one that names
// another build than the header is not this kernel's.
func TestBuildLab(t *testing.T) {
	for _, b := range builds {
		d := lab.HighIRQLKernel(b)
		if isX86(d) {
			continue
		}
		d.Layout = lab.Old
		if got := open(t, d).BuildLab(); got != "" {
			t.Errorf("%v: BuildLab() = %q, want none in the old layout", b, got)
		}
		for label, want := range map[string]bool{"12345.1.amd64fre.xx_release.200101-0000": false, "nonsense": false} {
			d.Blocks = []lab.Block{{Address: d.Drivers[0].Base + 0x700000, Data: []byte(label)}}
			if got := open(t, d).BuildLab(); (got == label) != want {
				t.Errorf("%v: BuildLab() = %q in a dump with %q", b, got, label)
			}
		}
		d.Layout = lab.New
		if got := open(t, d).BuildLab(); !strings.HasPrefix(got, b.String()[:5]+".1.") {
			t.Errorf("%v: BuildLab() = %q, want that of %v", b, got, b)
		}
	}
}
