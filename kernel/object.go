package kernel

import (
	"bugcheck/dump"
	"bugcheck/internal/le"
	"bugcheck/mem"
)

// object is a structure of the kernel's that was read whole. A field whose place
// is not known (-1) or that lies behind its end is absent.
type object struct {
	b    []byte
	arch dump.Arch
}

func (o object) has(at, size int) bool { return at >= 0 && at+size <= len(o.b) }

// pointer is the pointer at an offset; zero if absent.
func (o object) pointer(at int) mem.VA {
	if v := field64(o.b, at, o.arch); v != nil {
		return mem.VA(*v)
	}
	return 0
}

// word is the pointer-sized number at an offset; nil if absent.
func (o object) word(at int) *uint64 { return field64(o.b, at, o.arch) }

func (o object) u64(at int) uint64 {
	if !o.has(at, 8) {
		return 0
	}
	return le.U64(o.b, at)
}

func (o object) u32(at int) uint32 {
	if !o.has(at, 4) {
		return 0
	}
	return le.U32(o.b, at)
}

func (o object) u8(at int) uint8 {
	if !o.has(at, 1) {
		return 0
	}
	return o.b[at]
}

// maybe32 is the number at an offset; nil if absent.
func (o object) maybe32(at int) *uint32 {
	if !o.has(at, 4) {
		return nil
	}
	v := le.U32(o.b, at)
	return &v
}
