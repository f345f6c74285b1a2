package pe

import (
	"fmt"

	"bugcheck/internal/le"
	"bugcheck/mem"
)

// LoadConfig is what IMAGE_LOAD_CONFIG_DIRECTORY says. Fields that the linker
// did not know yet are zero. Addresses are based on Header.ImageBase.
type LoadConfig struct {
	Size               uint32 // of the structure, bytes
	SecurityCookie     mem.VA // of __security_cookie; zero: built without /GS
	GuardCheck         mem.VA // of the pointer to the control flow guard check
	GuardDispatch      mem.VA // of the pointer to its dispatch
	GuardFunctions     mem.VA // table of the valid call targets
	GuardFunctionCount uint64
	GuardFlags         uint32 // IMAGE_GUARD_*
	CHPEMetadata       mem.VA // hybrid images: ARM64EC, ARM64X
	DynamicRelocOffset uint32 // dynamic value relocations: offset in the section below
	DynamicRelocIndex  uint16 // of that section, from 1; zero: none
	EHContinuations    mem.VA // table of the valid targets after an exception, for CET
	EHContinuationsLen uint64
}

// maxLoadConfig is more than the structure has in any Windows so far (0x148).
const maxLoadConfig = 0x400

// LoadConfig decodes the load configuration; the zero LoadConfig if there is
// none. What is cut off or missing is zero, and the error says so.
func (f *File) LoadConfig() (LoadConfig, error) {
	dir := f.Directories[LoadConfigDirectory]
	if dir.RVA == 0 {
		return LoadConfig{}, nil
	}
	size, err := f.u32(dir.RVA)
	if err != nil {
		return LoadConfig{}, fmt.Errorf("load configuration: %w", err)
	}
	// The size in the directory is 0x40 in old 32-bit images, whatever there is.
	b := make([]byte, min(size, maxLoadConfig))
	n, err := f.ReadAt(b, dir.RVA)
	if err != nil {
		err = fmt.Errorf("load configuration: %w", err)
	}
	return f.loadConfig(size, b[:n]), err
}

// loadConfig decodes IMAGE_LOAD_CONFIG_DIRECTORY32 or 64 (winnt.h). The
// structure grew with every Windows, so where b ends, the rest is zero.
func (f *File) loadConfig(size uint32, b []byte) LoadConfig {
	c, l := addresses{Cursor: le.NewCursor(b), wide: f.Header.Wide}, LoadConfig{Size: size}
	c.Skip(0x18)  // size, times, versions, global flags, critical section timeout
	c.skip(6)     // DeCommitFreeBlockThreshold to ProcessAffinityMask
	c.Skip(4 + 4) // ProcessHeapFlags (in front of the mask if 32-bit), CSDVersion, DependentLoadFlags
	c.skip(1)     // EditList
	l.SecurityCookie = c.address()
	c.skip(2) // SEHandlerTable, SEHandlerCount
	l.GuardCheck = c.address()
	l.GuardDispatch = c.address()
	l.GuardFunctions = c.address()
	l.GuardFunctionCount = uint64(c.address())
	l.GuardFlags = c.U32()
	c.Skip(12) // CodeIntegrity
	c.skip(5)  // GuardAddressTakenIatEntryTable to DynamicValueRelocTable
	l.CHPEMetadata = c.address()
	c.skip(2) // GuardRFFailureRoutine and its pointer
	l.DynamicRelocOffset = c.U32()
	l.DynamicRelocIndex = c.U16()
	c.Skip(2)
	c.skip(1)     // GuardRFVerifyStackPointerFunctionPointer
	c.Skip(4 + 4) // HotPatchTableOffset
	c.skip(2)     // EnclaveConfigurationPointer, VolatileMetadataPointer
	l.EHContinuations = c.address()
	l.EHContinuationsLen = uint64(c.address())
	return l
}

// addresses is a cursor over a structure that has two widths.
type addresses struct {
	*le.Cursor
	wide bool
}

func (c addresses) address() mem.VA {
	if c.wide {
		return mem.VA(c.U64())
	}
	return mem.VA(c.U32())
}

func (c addresses) skip(n int) {
	for range n {
		c.address()
	}
}
