package kernel

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"bugcheck/dump"
	"bugcheck/internal/le"
	"bugcheck/mem"
	"bugcheck/report"
)

// Where KDDEBUGGER_DATA64 (wdbgexts.h) holds what identifies it, and the
// addresses of the kernel's variables that are followed.
const (
	kdbgTag                = 0x10
	kdbgSize               = 0x14
	kdbgKernelBase         = 0x18
	kdbgLoadedModules      = 0x48  // PsLoadedModuleList
	kdbgProcessHead        = 0x50  // PsActiveProcessHead
	kdbgTimeIncrement      = 0x78  // KeTimeIncrement
	kdbgBugCheckData       = 0x88  // KiBugCheckData
	kdbgBuildLab           = 0x208 // NtBuildLab
	kdbgProcessorBlock     = 0x218 // KiProcessorBlock
	kdbgUnloadedDrivers    = 0x220 // MmUnloadedDrivers
	kdbgLastUnloadedDriver = 0x228

	kdbgSmallest = kdbgSizeEThread + 2
	kdbgLargest  = 0x1000
	kdbgMark     = 0x4742444b // 'KDBG'
)

// kernelReach is the size of the largest kernel image that is thought of, bytes:
// Windows 11's has 17 MiB.
const kernelReach = 64 << 20

// findDebuggerData finds the debugger data block and the kernel's base: where the
// header points, as it is or encoded, else somewhere in the kernel's image.
func (m *Machine) findDebuggerData() {
	at := m.Header.DebuggerData
	if b := m.plainDebuggerData(at); b != nil {
		m.takeDebuggerData(at, b)
		return
	}
	base, ok := m.findKernelBase()
	if !ok {
		m.note("debugger data block", report.T("It is not at %s, where the header points, and the kernel's image was not found: only what the header says is known.", at.String()))
		return
	}
	m.kernelBase = base
	if b := m.encodedDebuggerData(at, base); b != nil {
		m.note("debugger data block", report.T("It was encoded, as Windows keeps it while no debugger is attached; it was decoded."))
		m.takeDebuggerData(at, b)
		return
	}
	found, b := m.scanDebuggerData(base)
	if b == nil {
		m.note("debugger data block", report.T("It is neither at %s, where the header points, nor in the kernel's image: much of the machine cannot be found.", at.String()))
		return
	}
	m.note("debugger data block", report.T("It is not at %s, where the header points; it was found at %s.", at.String(), found.String()))
	m.takeDebuggerData(found, b)
}

// takeDebuggerData makes a block the machine's. Where the header's pointers to the
// lists differ, the block's are right: it holds them as the kernel was linked.
func (m *Machine) takeDebuggerData(at mem.VA, b []byte) {
	m.Blocks.DebuggerData, m.Header.DebuggerData = b, at
	if m.kernelBase == 0 {
		m.kernelBase = m.variable(kdbgKernelBase)
	}
	for _, p := range []struct {
		name   string
		off    int
		header *mem.VA
	}{{"PsLoadedModuleList", kdbgLoadedModules, &m.Header.LoadedModules}, {"PsActiveProcessHead", kdbgProcessHead, &m.Header.ProcessHead}} {
		va := m.variable(p.off)
		if va == 0 || va == m.address(*p.header) {
			continue
		}
		if *p.header != 0 {
			m.note("header", report.T("It says that %s is at %s, the debugger data block %s; the latter is used.", p.name, p.header.String(), va.String()))
		}
		*p.header = va
	}
}

// variable is the address in the debugger data block at an offset; zero if absent.
func (m *Machine) variable(off int) mem.VA {
	if b := m.Blocks.DebuggerData; off+8 <= len(b) {
		return m.address(mem.VA(le.U64(b, off)))
	}
	return 0
}

// address takes off the sign extension of 32-bit addresses in 64-bit fields.
func (m *Machine) address(va mem.VA) mem.VA {
	if m.Arch == dump.X86 {
		return va & 0xffffffff
	}
	return va
}

// plainDebuggerData reads a block that is not encoded; nil if there is none at va.
func (m *Machine) plainDebuggerData(va mem.VA) []byte {
	head, err := mem.Read(m.Memory, va, kdbgKernelBase+8)
	if err != nil || le.U32(head, kdbgTag) != kdbgMark {
		return nil
	}
	size := le.U32(head, kdbgSize)
	if size < kdbgSmallest || size > kdbgLargest {
		return nil
	}
	b, err := mem.Read(m.Memory, va, int(size))
	if err != nil {
		return nil
	}
	base := m.address(mem.VA(le.U64(b, kdbgKernelBase)))
	if base == 0 || base%mem.PageSize != 0 || !m.plausibleDebuggerData(b, base) {
		return nil
	}
	return b
}

// plausibleDebuggerData checks that the lists' heads are variables of the kernel
// at base.
func (m *Machine) plausibleDebuggerData(b []byte, base mem.VA) bool {
	for _, off := range []int{kdbgLoadedModules, kdbgProcessHead} {
		if va := m.address(mem.VA(le.U64(b, off))); va <= base || va-base >= kernelReach {
			return false
		}
	}
	return true
}

// Windows 8 and later keep the block encoded while no debugger is attached, and
// decode it when they crash; dumps of virtual machines hold it as it was. Each
// word of it is decoded by
//
//	KiWaitAlways ^ byteswap(&KdpDataBlockEncoded ^ rotate(KiWaitNever ^ word, KiWaitNever & 63))
//
// (QEMU, contrib/elf2dmp; Volatility's win8_kdbg). Rotation and byte swap
// distribute over the exclusive or, so that two keys and an address come to one
// rotation and one constant for all words: byteswap(rotate(word, n)) ^ k. The
// words at 0x10 and 0x18 are known ('KDBG' with the size, and the kernel's base):
// both together give n, one of them k.
type kdbgCode struct {
	rotation int
	key      uint64
}

func (c kdbgCode) decode(word uint64) uint64 {
	return bits.ReverseBytes64(bits.RotateLeft64(word, c.rotation)) ^ c.key
}

// kdbgSizes are the sizes of blocks that are tried; 0x340 to 0x3a0 have been seen.
func kdbgSizes(yield func(size uint64) bool) {
	for size := uint64(kdbgSmallest+7) &^ 7; size <= 0x480; size += 8 {
		if !yield(size) {
			return
		}
	}
}

// known is what the difference of the two encoded words that are known says.
type known struct {
	rotation int
	size     uint64
}

// knownWords lists which difference of the words at 0x10 and 0x18 means what, for
// a kernel at base.
func (m *Machine) knownWords(base mem.VA) map[uint64]known {
	if m.Arch == dump.X86 {
		base = mem.VA(int32(base)) // the block's addresses are sign-extended
	}
	list := map[uint64]known{}
	for size := range kdbgSizes {
		plain := (kdbgMark | size<<32) ^ uint64(base)
		for n := range 64 {
			list[bits.RotateLeft64(bits.ReverseBytes64(plain), -n)] = known{rotation: n, size: size}
		}
	}
	return list
}

// encodedDebuggerData decodes the block at va; nil if there is none.
func (m *Machine) encodedDebuggerData(va, base mem.VA) []byte {
	return m.decodeDebuggerData(va, base, m.knownWords(base))
}

func (m *Machine) decodeDebuggerData(va, base mem.VA, words map[uint64]known) []byte {
	head, err := mem.Read(m.Memory, va, kdbgKernelBase+8)
	if err != nil {
		return nil
	}
	tag := le.U64(head, kdbgTag)
	k, ok := words[tag^le.U64(head, kdbgKernelBase)]
	if !ok {
		return nil
	}
	code := kdbgCode{rotation: k.rotation}
	code.key = code.decode(tag) ^ (kdbgMark | k.size<<32)
	b, err := mem.Read(m.Memory, va, int(k.size))
	if err != nil {
		return nil
	}
	for off := 0; off+8 <= len(b); off += 8 {
		binary.LittleEndian.PutUint64(b[off:], code.decode(le.U64(b, off)))
	}
	if !m.plausibleDebuggerData(b, base) {
		return nil
	}
	return b
}

// scanDebuggerData looks for the block, as it is or encoded, in the image of the
// kernel at base.
func (m *Machine) scanDebuggerData(base mem.VA) (mem.VA, []byte) {
	size := kernelReach / 2
	if image := openImage(m.Memory, base, kernelReach); image != nil {
		size = int(min(image.Header.SizeOfImage, kernelReach))
	}
	words := m.knownWords(base)
	buf := make([]byte, mem.PageSize+0x20)
	for page := base; page < base+mem.VA(size); page += mem.PageSize {
		n, _ := m.Memory.ReadAt(buf, page) // a missing page holds no block
		for off := 0; off+0x20 <= n; off += 8 {
			va := page + mem.VA(off)
			tag := le.U64(buf, off+kdbgTag)
			if uint32(tag) == kdbgMark {
				if b := m.plainDebuggerData(va); b != nil {
					return va, b
				}
			}
			if _, ok := words[tag^le.U64(buf, off+kdbgKernelBase)]; ok {
				if b := m.decodeDebuggerData(va, base, words); b != nil {
					return va, b
				}
			}
		}
	}
	return 0, nil
}

// findKernelBase finds the kernel's image without its debugger data block: by the
// first entry of the list of modules, else by walking back from what points into
// it.
func (m *Machine) findKernelBase() (mem.VA, bool) {
	if list, _ := m.ring(m.Memory, m.Header.LoadedModules, 1); len(list) > 0 {
		if d, err := m.loaderEntry(m.Memory, list[0]); err == nil && m.Header.LoadedModules-d.Base < mem.VA(d.Size) {
			return d.Base, true
		}
	}
	for _, va := range []mem.VA{m.Header.LoadedModules, m.Header.ProcessHead, m.Header.DebuggerData} {
		if base, _, ok := m.imageAround(m.address(va), kernelReach); ok {
			return base, true // the kernel's own variables
		}
	}
	for _, va := range m.codeAddresses() {
		if base, image, ok := m.imageAround(va, kernelReach); ok && isKernelImage(image) {
			return base, true
		}
	}
	return 0, false
}

// stackWords is how many words from the stack pointer up are tried as return
// addresses when nothing else is known.
const stackWords = 64

// codeAddresses are the instruction pointer and the words on top of the stack, as
// far as they could be addresses of the kernel's.
func (m *Machine) codeAddresses() []mem.VA {
	regs := m.HeaderRegisters()
	pc, _ := regs.PC()
	list := []mem.VA{mem.VA(pc)}
	sp, ok := regs.SP()
	if !ok {
		return list
	}
	b := make([]byte, stackWords*m.Arch.PointerSize())
	n, _ := m.Memory.ReadAt(b, mem.VA(sp))
	for at := 0; at+m.Arch.PointerSize() <= n; at += m.Arch.PointerSize() {
		if v := field64(b, at, m.Arch); *v>>63 == 1 || m.Arch == dump.X86 && *v>>31 == 1 {
			list = append(list, mem.VA(*v))
		}
	}
	return list
}

// note adds to what is said of the dump's state.
func (m *Machine) note(where string, text report.Text) {
	m.Notes = append(m.Notes, report.Note{Where: where, Text: text})
}

// noteError notes what could not be read, where something could not.
func (m *Machine) noteError(where string, err error) {
	if err != nil {
		m.note(where, report.T("It is not complete: %s.", fmt.Sprint(err)))
	}
}
