package analyze

import (
	"math/bits"

	"bugcheck/dump"
	"bugcheck/kernel"
	"bugcheck/mem"
	"bugcheck/report"
)

// nullPages are the lowest addresses, which Windows never maps: an access there
// goes through a null pointer.
const nullPages = 0x10000

// place says what an address points at.
func place(m *kernel.Machine, addr uint64) Place {
	va := mem.VA(addr)
	if mod, ok := m.ModuleAt(va); ok {
		symbol, offset := m.NameOf(va)
		return Place{Kind: PlaceModule, Image: mod.Name, Module: mod.Module, Symbol: symbol, Offset: offset}
	}
	if u, ok := m.UnloadedAt(va); ok {
		return Place{Kind: PlaceUnloaded, Image: u.Name, Module: kernel.ModuleName(u.Name), Offset: uint64(va - u.Start)}
	}
	if low, high, ok := m.StackLimits(); ok && va >= low && va < high {
		return Place{Kind: PlaceStack}
	}
	return Place{Kind: classify(addr, m.Arch), Bit: canonicalBit(addr, m.Arch)}
}

// classify sorts an address by its value alone.
func classify(addr uint64, arch dump.Arch) string {
	switch {
	case addr < nullPages:
		return PlaceNull
	case arch == dump.X86 && addr < 0x80000000:
		return PlaceUser
	case arch == dump.X86:
		return PlaceSystem
	case addr < 1<<47:
		return PlaceUser
	case addr >= 0xffff8000<<32:
		return PlaceSystem
	case canonicalBit(addr, arch) >= 0:
		return PlaceOneBit
	}
	return PlaceNonCanonical
}

// canonicalBit is the one bit of a non-canonical 64-bit address that would have
// to be flipped to make it a kernel or user address; -1 if there is none. Only
// bits 47 to 63 decide that; all of them must be equal.
func canonicalBit(addr uint64, arch dump.Arch) int {
	if arch == dump.X86 {
		return -1
	}
	top := addr >> 47
	if wrong := top ^ 0x1ffff; bits.OnesCount64(wrong) == 1 {
		return 47 + bits.TrailingZeros64(wrong)
	}
	if bits.OnesCount64(top) == 1 {
		return 47 + bits.TrailingZeros64(top)
	}
	return -1
}

// Text says a place in words; zero if there is nothing to say.
func (p Place) Text() report.Text {
	switch p.Kind {
	case PlaceModule:
		return report.T("%s", p.at())
	case PlaceUnloaded:
		return report.T("where %s was before it was unloaded, +0x%x", p.Image, p.Offset)
	case PlaceStack:
		return report.T("on the stack of the thread")
	case PlaceNull:
		return report.T("in the null page: a null pointer, with an offset")
	case PlaceUser:
		return report.T("a user-mode address")
	case PlaceOneBit:
		return report.T("not a canonical address, but one bit (bit %d) from one", p.Bit)
	case PlaceNonCanonical:
		return report.T("not a canonical address: no memory can be there")
	}
	return report.Text{}
}
