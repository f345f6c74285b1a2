package ram

// The bits of page table entries. x64: Intel's SDM volume 3, table 4-20; dt nt!_MMPTE_HARDWARE,
// _MMPTE_SOFTWARE, _MMPTE_TRANSITION, _MMPTE_PROTOTYPE, the same from 17763 to 26100. ARM64: Arm
// ARM D8.3; the same names in Win11_2409_24H2/ARM64 of github.com/ntdiff/headers.
const (
	valid = 1

	x64Write     = 1 << 1
	x64Owner     = 1 << 2 // user mode may
	x64Accessed  = 1 << 5
	x64Dirty     = 1 << 6
	x64Large     = 1 << 7
	x64Global    = 1 << 8
	x64Copy      = 1 << 9  // CopyOnWrite, a software bit
	x64SoftWrite = 1 << 11 // Write, a software bit
	x64WSLE      = 0xa << 56
	x64NoExecute = 1 << 63

	armTable      = 1 << 1 // NotLargePage
	armOwner      = 1 << 6
	armReadOnly   = 1 << 7 // NotDirty
	armShared     = 3 << 8
	armAccessed   = 1 << 10
	armNonGlobal  = 1 << 11
	armKernelXN   = 1 << 53
	armUserXN     = 1 << 54
	armWritable   = 1 << 55
	armCopy       = 1 << 56
	armWSLE       = 5 << 60
	armPageFile   = 6 // where PageFileLow starts
	softPrototype = 1 << 10
	softTransit   = 1 << 11

	frameMask = 0x0000fffffffff000
)

// Protection says what a page may be used for. The zero value is a page to be read.
type Protection uint8

const (
	Writable Protection = 1 << iota
	Executable
	CopyOnWrite // to be read now; a write makes a copy
	Large       // a page of 2 MiB
)

// mmProtection returns the five bits that software entries hold: MM_READONLY 1, MM_EXECUTE_READ 3,
// MM_READWRITE 4, MM_WRITECOPY 5, MM_EXECUTE_READWRITE 6, MM_EXECUTE_WRITECOPY 7. Source: the
// table of protections in Windows Internals, volume 1, and rekall's pagefile plugin.
func (p Protection) mmProtection() uint64 {
	x := p&Executable != 0
	switch {
	case p&CopyOnWrite != 0 && x:
		return 7
	case p&CopyOnWrite != 0:
		return 5
	case p&Writable != 0 && x:
		return 6
	case p&Writable != 0:
		return 4
	case x:
		return 3
	}
	return 1
}

// leaf returns the entry that maps a page; user: the address is a process's own.
func (m *Memory) leaf(pfn uint64, p Protection, user bool) uint64 {
	if m.arm64 {
		return armLeaf(pfn, p, user)
	}
	e := pfn*PageSize | valid | x64Accessed | x64WSLE
	if p&Writable != 0 {
		e |= x64Write | x64Dirty | x64SoftWrite
	}
	if p&CopyOnWrite != 0 {
		e |= x64Copy
	}
	if p&Executable == 0 {
		e |= x64NoExecute
	}
	if p&Large != 0 {
		e |= x64Large
	}
	if user {
		return e | x64Owner
	}
	return e | x64Global
}

func armLeaf(pfn uint64, p Protection, user bool) uint64 {
	e := pfn*PageSize | valid | armShared | armAccessed | armKernelXN | armUserXN | armWSLE
	if p&Large == 0 {
		e |= armTable
	}
	if p&Writable != 0 {
		e |= armWritable
	} else {
		e |= armReadOnly
	}
	if p&CopyOnWrite != 0 {
		e |= armCopy
	}
	if user {
		e |= armOwner | armNonGlobal
	}
	switch {
	case p&Executable != 0 && user:
		e &^= armUserXN
	case p&Executable != 0:
		e &^= armKernelXN
	}
	return e
}

// table returns the entry that leads to a table. On ARM64 it forbids execution, as entries
// that lead to pages do, though the processor looks at other bits there: by that memory
// forensics know Windows's tables (ufrisk/MemProcFS vmm/vmmwininit.c).
func (m *Memory) table(pfn uint64, user bool) uint64 {
	if m.arm64 {
		return pfn*PageSize | valid | armTable | armShared | armAccessed | armKernelXN | armUserXN
	}
	e := pfn*PageSize | valid | x64Write | x64Accessed | x64Dirty | x64SoftWrite | x64WSLE
	if user {
		e |= x64Owner
	}
	return e
}

// isLarge reports whether a valid entry of the second level maps a page itself.
func (m *Memory) isLarge(e uint64) bool {
	if m.arm64 {
		return e&armTable == 0
	}
	return e&x64Large != 0
}

// protection returns the MM_ bits that a valid entry stands for.
func (m *Memory) protection(e uint64) uint64 {
	var p Protection
	write, copying, noExecute := uint64(x64Write), uint64(x64Copy), uint64(x64NoExecute)
	if m.arm64 {
		write, copying, noExecute = armWritable, armCopy, armUserXN|armKernelXN
	}
	if e&write != 0 {
		p |= Writable
	}
	if e&copying != 0 {
		p |= CopyOnWrite
	}
	if e&noExecute != noExecute {
		p |= Executable
	}
	return p.mmProtection()
}

// Software entries: each has its protection, and on x64 all of it is mixed with InvalidPTEMask,
// as the swizzle bit (bit 4), which is clear, tells.

func (m *Memory) software(e, protection uint64) uint64 {
	if m.arm64 {
		return e | protection<<1
	}
	return (e | protection<<5) ^ m.InvalidPTEMask
}

// transition returns the entry of a page that was taken from its owner and still has its frame.
func (m *Memory) transition(pfn, protection uint64) uint64 {
	return m.software(pfn*PageSize|softTransit, protection)
}

// pagedOut returns the entry of a page in a paging file: the file's number, the page in it.
func (m *Memory) pagedOut(file, page, protection uint64) uint64 {
	if m.arm64 {
		return m.software(page<<32|file<<armPageFile|1<<13, protection)
	}
	return m.software(page<<32|file<<12|1<<2, protection) // bit 2: PageFileAllocated
}

// prototype returns an entry that sends on to the prototype entry at va.
func (m *Memory) prototype(va, protection uint64) uint64 {
	return m.software(va<<16|softPrototype, protection)
}

// demandZero returns the entry of a page that is made when it is touched: a protection, no
// more. It holds no address, so it is never mixed.
func (m *Memory) demandZero(p Protection) uint64 {
	if m.arm64 {
		return p.mmProtection() << 1
	}
	return p.mmProtection() << 5
}
