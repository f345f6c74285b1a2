package analyze

import (
	"bugcheck/internal/le"
	"bugcheck/mem"
	"bugcheck/report"
	"bugcheck/win"
)

// INTERNAL_POWER_ERROR (0xA0): P1 the kind, the others by it. Which parameter is
// what, is said in win/data/values.*.tsv.
var objectsA0 = map[uint64]objectAt{
	0x8: {3, objectDevice, false}, 0x200: {3, objectDevice, false}, 0x300: {3, objectDevice, true}, 0x301: {3, objectDevice, true},
	0x400: {4, objectDevice, true}, 0x401: {4, objectDevice, false}, 0x402: {4, objectDevice, false}, 0x403: {4, objectDevice, false},
	0x404: {4, objectDevice, true}, 0x500: {4, objectDevice, true}, 0x600: {2, objectPDO, true}, 0x607: {2, objectFx, false},
	0x613: {2, objectFx, true}, 0x614: {2, objectFx, true}, 0x619: {2, objectFx, true}, 0x61b: {2, objectFx, true},
	0x61c: {2, objectFx, true}, 0x61d: {2, objectFx, true}, 0x901: {2, objectDevice, true},
}

// What the kinds without an object point to.
var (
	slowTransition = map[uint64]bool{0xf: true, 0xf0: true, 0xf1: true}              // P4 the thread at work
	hiberChecksum  = map[uint64]bool{0x3: true, 0x4: true, 0x109: true, 0x10e: true} // what was saved is not what was read
	hiberDisk      = map[uint64]int{0x9: 2, 0xc: 2, 0x10a: 4, 0x108: 0}              // the parameter with the status; 0: none
	debuggingStop  = map[uint64]bool{0xa: true, 0x111: true}                         // by an option for debugging
	exceptionA0    = map[uint64]bool{0x101: true}                                    // P3 EXCEPTION_POINTERS
	firmwareA0     = map[uint64]bool{0x680: true, 0xaa64: true}                      // ACPI tables, PSCI
	idleTransition = map[uint64]bool{0x701: true}                                    // P4 the processor
	callbackA0     = map[uint64]bool{0x900: true}                                    // P2 the callback
)

func collectA0(c *collection) {
	p := c.facts.Parameters
	switch kind := p[0]; {
	case slowTransition[kind]:
		c.aboutThread(p[3])
	case exceptionA0[kind]:
		c.exceptionPointers(p[2], report.T("exception pointers (parameter 3)"))
	case idleTransition[kind]:
		c.collectHung(func(number uint32, _ bool) bool { return uint64(number) == p[3] })
	default:
		c.object(objectsA0[kind])
	}
}

// exceptionPointers starts the frames from an EXCEPTION_POINTERS (winnt.h): the
// addresses of an exception record and of a CONTEXT.
func (c *collection) exceptionPointers(addr uint64, source report.Text) {
	size := c.m.Arch.PointerSize()
	b, err := mem.Read(c.m.Memory, mem.VA(addr), 2*size)
	if err != nil {
		c.note("exception pointers", report.T("They are not in the dump: %v.", err.Error()))
		return
	}
	record, context := uint64(le.U32(b, 0)), uint64(le.U32(b, 4))
	if size == 8 {
		record, context = le.U64(b, 0), le.U64(b, 8)
	}
	c.recordAt(record)
	c.contextAt(context, source)
}

func judgeA0(j *judgement) {
	p := j.f.Parameters
	kind := p[0]
	j.meaningOf(1)
	j.judgeObject(objectsA0[kind])
	n, disk := hiberDisk[kind]
	switch {
	case slowTransition[kind]:
		j.judgeThread(parameter(4))
	case exceptionA0[kind] && j.f.Exception != nil:
		judgeException(j)
	case hiberChecksum[kind]:
		j.evidence(report.Derived, parameter(1), report.T("What was saved for hibernation is not what was found later: memory that lost a bit, a disk that returned something else, or a driver that wrote to memory while the machine slept."))
		j.likely(report.CauseMemoryCorruption)
	case disk:
		if n != 0 {
			j.evidence(report.Recorded, parameter(n), report.T("It ended with %s.", win.Status(uint32(p[n-1]))))
		}
		j.likely(report.CauseStorage)
	case debuggingStop[kind]:
		j.decide(report.CauseRequested, report.High)
	case firmwareA0[kind]:
		j.noticed(report.CauseFirmware, report.Medium)
	case idleTransition[kind]:
		j.judgeHung()
	case callbackA0[kind]:
		j.judgePlace(2)
	}
	j.detector()
}

func happenedA0(f *Facts) report.Text {
	switch kind := f.Parameters[0]; {
	case hiberChecksum[kind]:
		return report.T("what was saved for hibernation came back changed")
	case slowTransition[kind] || kind == 0xd:
		return report.T("the machine did not get to sleep or awake in time")
	case debuggingStop[kind]:
		return report.T("an option for debugging power problems asked for it")
	}
	if _, disk := hiberDisk[f.Parameters[0]]; disk {
		return report.T("the hibernation file could not be written or read")
	}
	return report.T("the power manager met an error that it cannot recover from")
}
