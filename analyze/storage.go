package analyze

import (
	"bugcheck/internal/le"
	"bugcheck/mem"
	"bugcheck/report"
	"bugcheck/win"
)

// Stop codes by which Windows says that it could not read what it needs from disk:
// KERNEL_STACK_INPAGE_ERROR (0x77), KERNEL_DATA_INPAGE_ERROR (0x7A),
// INACCESSIBLE_BOOT_DEVICE (0x7B), UNMOUNTABLE_BOOT_VOLUME (0xED). The stack shows
// who needed it, which is nobody's fault ("Bug Check Code Reference" in Microsoft's
// documentation).

// noResources are the statuses of a read that failed for want of memory, not of a disk.
var noResources = map[uint32]bool{0xc000009a: true, 0xc0000017: true, 0xc000012d: true}

// judgeStatus says by parameter 2 why a read failed; without a status that tells, the cause is no
// more than likely.
func (j *judgement) judgeStatus() {
	const n = 2 // of the parameter
	status := uint32(j.f.Parameters[n-1])
	switch {
	case noResources[status]:
		j.evidence(report.Recorded, parameter(n), report.T("The read ended with %s: memory was short, which is no fault of the disk.", win.Status(status)))
	case status>>30 == 3 && isStatus(j.f.Parameters[n-1]):
		j.evidence(report.Recorded, parameter(n), report.T("It ended with %s.", win.Status(status)))
		j.noticed(report.CauseStorage, report.Medium)
	default:
		j.noticed(report.CauseStorage, report.Low)
	}
}

func judge7A(j *judgement) {
	j.evidence(report.Recorded, parameter(4), report.T("The page at 0x%x could not be read back from disk.", j.f.Parameters[3]))
	j.judgeStatus()
}

// stackFromCache and those above it up to 2 are the kinds of 0x77 by which the page
// came back, but without the mark that the kernel had left on it: P2 is what stood
// there. Else P1 and P2 are statuses.
const (
	stackFromCache = 0
	stackFromDisk  = 2
)

func judge77(j *judgement) {
	p := j.f.Parameters
	switch {
	case p[0] == stackFromCache:
		j.evidence(report.Recorded, parameter(1), report.T("A page of a kernel stack was still in memory, but not what had been left there: 0x%x stood in the place of its mark.", p[1]))
		j.evidence(report.Derived, parameter(1), report.T("It had not been read from disk, so the disk is not to blame: the memory is faulty, or something wrote over it."))
		j.noticed(report.CauseMemoryCorruption, report.Low)
	case p[0] <= stackFromDisk:
		j.evidence(report.Recorded, parameter(1), report.T("A page of a kernel stack came back from disk, but not as it had been written: 0x%x stood in the place of its mark.", p[1]))
		j.noticed(report.CauseStorage, report.Low)
	default:
		j.evidence(report.Recorded, report.T("parameters 3 and 4"), report.T("A page of a kernel stack could not be read back from page file %d, offset 0x%x.", p[2], p[3]))
		j.judgeStatus()
	}
}

// maxDeviceName is longer than a device's name, bytes.
const maxDeviceName = 512

// collect7B reads the name that P1 points to, a UNICODE_STRING.
func collect7B(c *collection) {
	b, err := mem.Read(c.m.Memory, mem.VA(c.facts.Parameters[0]), 16)
	if err != nil {
		return
	}
	n, most := int(le.U16(b, 0)), int(le.U16(b, 2))
	if n == 0 || n%2 != 0 || n > most || n > maxDeviceName {
		return
	}
	if text, err := mem.Read(c.m.Memory, mem.VA(le.U64(b, 8)), n); err == nil && isPrintable(win.UTF16(text)) {
		c.facts.Device = win.UTF16(text)
	}
}

func isPrintable(s string) bool {
	for _, r := range s {
		if r < ' ' || r > '~' {
			return false
		}
	}
	return s != ""
}

func judge7B(j *judgement) {
	if j.f.Device != "" {
		j.evidence(report.Recorded, parameter(1), report.T("Windows was to start from %s.", j.f.Device))
	}
	j.judgeStatus()
	j.evidence(report.Derived, report.T("stop code"), report.T("The stack is that of the start of Windows; what fails is the way to its disk: driver, controller mode, or the disk itself."))
}

func judgeED(j *judgement) {
	j.evidence(report.Derived, report.T("stop code"), report.T("The disk was found, but the file system on it could not be used."))
	j.judgeStatus()
}

func happened7A(*Facts) report.Text {
	return report.T("a page that was needed could not be read from disk")
}

func happened77(f *Facts) report.Text {
	if f.Parameters[0] == stackFromCache {
		return report.T("a page of a kernel stack was found overwritten")
	}
	return report.T("a page of a kernel stack could not be read from disk")
}

func happened7B(*Facts) report.Text {
	return report.T("Windows could not reach the disk that it starts from")
}

func happenedED(*Facts) report.Text {
	return report.T("the file system of the volume that Windows starts from could not be mounted")
}

// NTFS_FILE_SYSTEM (0x24): P1 the place in the source of ntfs.sys, P2 the exception
// record and P3 the context, where they are set.
func collect24(c *collection) {
	p := c.facts.Parameters
	c.recordAt(p[1])
	c.contextAt(p[2], report.T("context record (parameter 3)"))
}

// UNEXPECTED_STORE_EXCEPTION (0x154): P2 the exception's record and context.
func collect154(c *collection) {
	if p := c.facts.Parameters; p[1] != 0 {
		c.exceptionPointers(p[1], report.T("exception pointers (parameter 2)"))
	}
}

// fileSystemDamage are statuses that say that what is on the disk is damaged.
var fileSystemDamage = map[uint32]bool{0xc0000102: true, 0xc0000032: true, 0xc0000427: true}

// judgeFileSystem: an exception in the file system or in the store is judged as any
// other, unless it says that a page or the disk's contents were at fault.
func judgeFileSystem(j *judgement) {
	switch x := j.f.Exception; {
	case x == nil:
		j.likely(report.CauseStorage)
	case x.Code == statusInPageError:
		j.evidence(report.Recorded, report.T("exception record"), report.T("It ended with %s.", win.Status(x.Code)))
		j.noticed(report.CauseStorage, report.Medium)
	case fileSystemDamage[x.Code]:
		j.evidence(report.Recorded, report.T("exception record"), report.T("It ended with %s: what stands on the disk is damaged.", win.Status(x.Code)))
		j.noticed(report.CauseStorage, report.Medium)
	default:
		judgeException(j)
	}
	j.evidence(report.Derived, report.T("stop code"), report.T("The stack shows who used the disk; a damaged volume, a failing disk and filters of anti-virus or backup look the same from here."))
}

func happenedFileSystem(f *Facts) report.Text {
	if f.Code == 0x154 {
		return report.T("the store of compressed memory met an error that it had not foreseen")
	}
	return report.T("the file system met something that it cannot go on from")
}
