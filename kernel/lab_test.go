package kernel_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"bugcheck/dump"
	"bugcheck/kernel"
	"bugcheck/lab"
	"bugcheck/mem"
	"bugcheck/report"
)

var builds = lab.Builds()

var recipes = []struct {
	name string
	make func(*lab.Build) *lab.Dump
}{
	{"HighIRQLKernel", lab.HighIRQLKernel},
	{"SystemThreadException", lab.SystemThreadException},
	{"SystemServiceException", lab.SystemServiceException},
	{"SecurityCheckFailure", lab.SecurityCheckFailure},
}

// eachLab runs a test on every recipe of every build.
func eachLab(t *testing.T, test func(t *testing.T, d *lab.Dump)) {
	for _, b := range builds {
		for _, r := range recipes {
			t.Run(fmt.Sprintf("%v %s", b, r.name), func(t *testing.T) { test(t, r.make(b)) })
		}
	}
}

func isX86(d *lab.Dump) bool   { return strings.HasSuffix(d.Build.String(), "x86") }
func isARM64(d *lab.Dump) bool { return strings.HasSuffix(d.Build.String(), "ARM64") }

func labBytes(tb testing.TB, d *lab.Dump) []byte {
	tb.Helper()
	b, err := d.Bytes()
	if err != nil {
		tb.Fatalf("%v: %v", d.Build, err)
	}
	return b
}

func openBytes(tb testing.TB, b []byte) *kernel.Machine {
	tb.Helper()
	f, err := dump.Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		tb.Fatalf("Open: %v", err)
	}
	return kernel.Open(f)
}

func open(tb testing.TB, d *lab.Dump) *kernel.Machine {
	tb.Helper()
	return openBytes(tb, labBytes(tb, d))
}

func u32(b []byte, off int) uint32 { return binary.LittleEndian.Uint32(b[off:]) }

func put32(b []byte, off int, v uint32) { binary.LittleEndian.PutUint32(b[off:], v) }

func put64(b []byte, off int, v uint64) { binary.LittleEndian.PutUint64(b[off:], v) }

// walk asks a machine everything, as the analysis would and more.
func walk(tb testing.TB, m *kernel.Machine) {
	tb.Helper()
	m.ReleaseBuild()
	m.Version()
	m.ReleaseName()
	m.BuildLab()
	m.IRQL()
	m.Process()
	m.Processor()
	m.Thread()
	if low, high, ok := m.StackLimits(); ok && low >= high {
		tb.Errorf("StackLimits() = %v, %v", low, high)
	}
	for _, mod := range m.Modules {
		if mod.Name == "" {
			tb.Errorf("the module at %v has no image name", mod.Base)
		}
		m.ModuleAt(mod.Base)
		m.ModuleNamed(mod.Name)
	}
	for _, u := range m.Unloaded {
		m.UnloadedAt(u.Start)
	}
	_, _ = m.PoolUsage()
	_, _ = m.DriverObjects()
	_, _ = m.Resources(kernel.Resource.Owned)
	_, _ = m.VirtualMemory()
	_, _ = m.Services()
	checkFrames(tb, m, m.HeaderRegisters())
	for _, p := range m.Header.Parameters {
		walkAddress(tb, m, mem.VA(p))
	}
	walkAddress(tb, m, m.Blocks.StackTop)
}

// walkAddress reads every structure that could stand at an address.
func walkAddress(tb testing.TB, m *kernel.Machine, va mem.VA) {
	tb.Helper()
	m.ModuleAt(va)
	m.UnloadedAt(va)
	_, _ = m.IRP(va)
	_, _ = m.DeviceObject(va)
	_, _ = m.PowerIRPs(va)
	_, _ = m.ThreadIRPs(va)
	_, _ = m.Request(va)
	_, _ = m.FileObject(va)
	_, _ = m.DeviceStack(va)
	_, _ = m.DriverObject(va)
	_, _ = m.ObjectPath(va)
	_, _ = m.Resource(va)
	_, _ = m.PushLock(va)
	_, _ = m.PoolBlock(va)
	_, _ = m.PFN(mem.PA(va))
	_, _ = m.ExceptionRecordAt(va)
	if regs, err := m.ContextAt(va); err == nil {
		checkFrames(tb, m, regs)
	}
	if f, err := m.TrapFrameAt(va); err == nil {
		checkFrames(tb, m, f.Registers)
	}
	if f, ok := m.FindTrapFrame(va); ok {
		checkFrames(tb, m, m.Restored(f).Registers)
	}
}

// checkFrames walks the stack and checks what holds of any: bounded, and the
// stack pointer rises, up to where the thread came from user mode.
func checkFrames(tb testing.TB, m *kernel.Machine, regs report.Registers) {
	tb.Helper()
	frames := m.Stack(regs, []kernel.Span{{Start: m.Blocks.StackTop, End: m.Blocks.StackTop + 64}})
	if len(frames) > 1024 {
		tb.Errorf("%d frames", len(frames))
	}
	low, high, known := m.StackLimits() // registers that stood by chance somewhere lead anywhere
	for i := 1; i < len(frames); i++ {
		if frames[i].StackPointer>>63 == 0 && frames[i-1].StackPointer>>63 != 0 {
			break
		}
		if frames[i].StackPointer <= frames[i-1].StackPointer {
			tb.Fatalf("frame %d at %v is not above frame %d at %v", i, frames[i].StackPointer, i-1, frames[i-1].StackPointer)
		}
		if sp := mem.VA(frames[i-1].StackPointer); frames[i].Image == "" && (!known || sp >= low && sp < high) {
			tb.Errorf("frame %d at %v lies in no module", i, frames[i].Address)
		}
	}
}

// TestBuildLab_FourDigits: 4-digit builds: 9600 is Windows 8.1, 7601 Windows 7.
func TestBuildLab_FourDigits(t *testing.T) {
	d := lab.HighIRQLKernel(lab.Windows17763)
	want := "9600.17031.amd64fre.winblue_gdr.140221-1952"
	d.Blocks = append(d.Blocks, lab.Block{Address: d.Drivers[0].Base + 0x700000, Data: []byte(want)})
	b := labBytes(t, d)
	put32(b, 0xc, 9600)
	if got := openBytes(t, b).BuildLab(); got != want {
		t.Errorf("BuildLab() = %q, want %q", got, want)
	}
}
