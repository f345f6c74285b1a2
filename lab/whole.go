package lab

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"bugcheck/lab/code"
	"bugcheck/lab/ram"
)

// Plan says what a whole machine is like. The zero value of a field is the usual machine's.
type Plan struct {
	Arch   string // "x64" or "arm64"
	Build  int    // one of code.Builds
	Memory uint64 // bytes

	Processors int  // 0: 2
	Processes  int  // at least so many; beyond the usual ones: svchost.exe
	Threads    int  // at least so many in all processes together
	Encoded    bool // KdDebuggerDataBlock is encoded, as Windows leaves it until a crash
	LargePages bool // the kernel's image lies in pages of 2 MiB
	Levels     int  // of page tables: 0 is 4; 5 on x64

	InvalidPTEMask uint64        // see ram.Memory
	Time           time.Time     // of the dump; zero: 2026-03-14 09:26:53
	Uptime         time.Duration // 0: 72 minutes and some
}

// System is a whole machine at one moment: everything that its memory holds. NewSystem makes
// a healthy one; a recipe then lets it crash by changing its memory. It is for one goroutine.
type System struct {
	Plan
	Memory *ram.Memory
	Space  *ram.Space // of the System process: the kernel's half of all

	Modules    []*KernelModule // the first is the kernel
	Unloaded   []Unloaded      // latest first
	Processes  []*EProcess     // in the order of PsActiveProcessHead, the idle process first, which is not on it
	Processors []*KPrcb
	Drivers    []*DriverObject

	// What the dump's header says. Context is that of Crashed.
	Code       uint32
	Parameters [4]uint64
	Exception  []byte // EXCEPTION_RECORD64; nil: a breakpoint
	Crashed    *KPrcb // the processor that writes the dump
	Attributes uint32
	Tagged     []Blob

	layout    *layout
	code      *code.Images
	variables map[string]uint64
	regions   regions
	pool      *pool
	objects   objectManager
	shared    map[string]uint64 // frames that processes share, by image and offset
	recorded  map[uint64]bool   // frames that have an entry in the PFN database
	nextID    uint32            // of the next process or thread
	kept      []capture         // for small dumps
	err       error             // the first one; writers go on and do nothing
}

// regions are the parts of the kernel's half in which addresses are handed out upwards.
type regions struct{ extra, drivers, session, stacks, processors, images uint64 }

// Where the invented kernel's half keeps what; the same on x64 and ARM64.
const (
	vaKernel     = 0xfffff80312a00000
	vaDrivers    = 0xfffff80315e00000
	vaExtra      = 0xfffff80310000000 // the loader's: variables that no image holds
	vaSession    = 0xffffdd4f00000000
	vaStacks     = 0xffffc50e6a000000
	vaProcessors = 0xffffa68001100000
	vaNonPaged   = 0xffffb30c45000000
	vaPaged      = 0xffff8a8f60000000
	vaPFN        = 0xffffca8000000000
	vaShared     = 0xfffff78000000000 // KUSER_SHARED_DATA
)

// NewSystem returns a healthy machine of the usual kind.
func NewSystem(arch string, build int, memory uint64) (*System, error) {
	return Plan{Arch: arch, Build: build, Memory: memory}.System()
}

// System returns the machine that p says.
func (p Plan) System() (*System, error) {
	p.defaults()
	if p.Arch != "x64" && p.Arch != "arm64" {
		return nil, fmt.Errorf("lab: no machine of architecture %q", p.Arch)
	}
	if p.Memory < minMemory || p.Memory > 1<<46 {
		return nil, fmt.Errorf("lab: %d bytes of memory, the machine needs %d", p.Memory, uint64(minMemory))
	}
	if p.Processors < 1 || p.Processors > 64 {
		return nil, fmt.Errorf("lab: %d processors", p.Processors)
	}
	if builds := code.Builds(p.Arch); !slices.Contains(builds, p.Build) {
		return nil, fmt.Errorf("lab: no machine of build %d on %s; there are %v", p.Build, p.Arch, builds)
	}
	l, err := newLayout(p.Arch, p.Build)
	if err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	s := &System{Plan: p, layout: l, variables: map[string]uint64{}, shared: map[string]uint64{}, recorded: map[uint64]bool{}, nextID: 4, Code: liveSystemDump,
		regions: regions{vaExtra, vaDrivers, vaSession, vaStacks, vaProcessors, 0x7ffd57a00000}}
	if s.code, err = code.Open(p.Arch, p.Build); err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	s.Memory = ram.New(p.Arch, p.Memory)
	s.Memory.Levels, s.Memory.InvalidPTEMask = p.Levels, p.InvalidPTEMask
	s.Space = s.Memory.NewSpace()
	s.build()
	if s.err != nil {
		return nil, fmt.Errorf("lab: %s %d: %w", p.Arch, p.Build, s.err)
	}
	return s, nil
}

const (
	minMemory      = 512 << 20
	liveSystemDump = 0x161
)

func (p *Plan) defaults() {
	if p.Processors == 0 {
		p.Processors = 2
	}
	if p.Levels == 0 {
		p.Levels = 4
	}
	if p.Time.IsZero() {
		p.Time = time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC)
	}
	if p.Uptime == 0 {
		p.Uptime = 72*time.Minute + 14*time.Second + 500*time.Millisecond
	}
}

// build makes the parts in the order in which they need each other.
func (s *System) build() {
	for _, f := range []func(){
		s.buildModules, s.buildPool, s.buildObjects, s.buildModuleList, s.buildProcessors,
		s.buildProcesses, s.buildDevices, s.buildLocks, s.buildBackground, s.buildShared, s.buildDebugger, s.buildMemoryState, s.settlePool,
	} {
		if f(); s.err != nil {
			return
		}
	}
}

// fail keeps the first error.
func (s *System) fail(err error) {
	if s.err == nil && err != nil {
		s.err = err
	}
}

// put writes into the kernel's memory.
func (s *System) put(va uint64, b []byte) { s.fail(s.Space.Write(va, b)) }

// word writes 8 bytes into the kernel's memory.
func (s *System) word(va, v uint64) {
	var w buf
	w.put64(0, v)
	s.put(va, w.b)
}

// half writes 4 bytes into the kernel's memory.
func (s *System) half(va uint64, v uint32) {
	var w buf
	w.put32(0, v)
	s.put(va, w.b)
}

// peek reads 8 bytes of the kernel's memory.
func (s *System) peek(va uint64) uint64 {
	b := make([]byte, 8)
	s.fail(s.Space.Read(va, b))
	v := uint64(0)
	for i, x := range b {
		v |= uint64(x) << (8 * i)
	}
	return v
}

// take maps size bytes of a region, to be written, and leaves a page without memory behind them.
func (s *System) take(region *uint64, size uint64) uint64 {
	va := *region
	size = (size + 0xfff) &^ 0xfff
	s.fail(s.Space.Map(va, size, ram.Writable))
	*region = va + size + 0x1000
	return va
}

// Err returns the first error of what was done to the machine since it was made.
func (s *System) Err() error { return s.err }

// Word reads 8 bytes of the kernel's memory.
func (s *System) Word(va uint64) (uint64, error) {
	b := make([]byte, 8)
	if err := s.Space.Read(va, b); err != nil {
		return 0, err
	}
	return s.peek(va), nil
}

// Set writes the number v into a field of size bytes (1, 2, 4, 8) of a structure at va.
func (s *System) Set(va uint64, structure, field string, size int, v uint64) error {
	off, ok := s.layout.Field(structure, field)
	if !ok {
		return fmt.Errorf("%s has no %s in build %d", structure, field, s.Build)
	}
	var w buf
	w.put64(0, v)
	return s.Space.Write(va+off, w.b[:size])
}

// Field returns the offset of a field in this machine's structures.
func (s *System) Field(structure, path string) (uint64, bool) { return s.layout.Field(structure, path) }

// list makes a list of a head and the links of entries, in their order.
func (s *System) list(head uint64, links []uint64) {
	all := append([]uint64{head}, links...)
	for i, at := range all {
		s.word(at, all[(i+1)%len(all)])
		s.word(at+8, all[(i+len(all)-1)%len(all)])
	}
}

// InsertTail links an entry in before a list's head.
func (s *System) InsertTail(head, link uint64) error {
	last := s.peek(head + 8)
	s.word(link, head)
	s.word(link+8, last)
	s.word(last, link)
	s.word(head+8, link)
	return s.err
}

// Dump writes the machine's memory as a dump file.
func (s *System) Dump(w ram.File, format ram.Format) error {
	h, err := s.header()
	if err != nil {
		return err
	}
	return s.Memory.Dump(w, format, h)
}

// header is what the header of every dump of the machine says.
func (s *System) header() (*ram.Header, error) {
	if s.err != nil {
		return nil, fmt.Errorf("lab: %w", s.err)
	}
	if s.Crashed == nil {
		return nil, errors.New("lab: no processor crashed")
	}
	tail, err := s.secondary()
	if err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	return &ram.Header{
		Build: uint32(s.Build), Processors: uint32(s.Plan.Processors), Code: s.Code, Parameters: s.Parameters,
		Context: s.Crashed.Context, Exception: s.Exception,
		DirectoryTableBase: s.Crashed.Thread.Process.directory(), PfnDataBase: s.variables["MmPfnDatabase"],
		PsLoadedModuleList: s.variables["PsLoadedModuleList"], PsActiveProcessHead: s.variables["PsActiveProcessHead"],
		KdDebuggerDataBlock: s.variables["KdDebuggerDataBlock"], Time: s.Time, Uptime: s.Uptime,
		ProductType: s.product(), SuiteMask: 0x110, Attributes: s.Attributes, BootID: 42, Secondary: tail,
	}, nil
}

// product returns 3, a server, for the builds of Windows Server, else 1.
func (s *System) product() uint32 {
	if s.Build == 17763 || s.Build == 20348 {
		return 3
	}
	return 1
}
