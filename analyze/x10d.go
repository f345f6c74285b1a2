package analyze

import (
	"bugcheck/dump"
	"bugcheck/internal/le"
	"bugcheck/mem"
	"bugcheck/report"
	"bugcheck/win"
)

// WDF_VIOLATION (0x10D): the driver framework caught a driver built on it breaking a
// rule. P1 the kind (WDF_BUGCHECK_CODES of wdfbugcodes.h), the others by it.
const (
	wdfPowerTimeout    = 0x1
	wdfParameterIsNull = 0x4
	wdfRequestError    = 0x6 // P2 which
	wdfQueueError      = 0xa
	wdfPnPError        = 0xc
	wdfPowerOwners     = 0xd
	wdfIRQLMismatch    = 0xe
	wdfCriticalRegion  = 0xf

	wdfNoMoreLocations = 0x1 // of wdfRequestError: P3 the IRP
)

// objects10D: the requests that the framework points to. Whoever has a request may
// have got it from the one at fault, so nobody is blamed by it.
var objects10D = map[uint64]objectAt{
	wdfPnPError: {3, objectRequest, false}, wdfPowerOwners: {3, objectRequest, false},
}

// WDF_POWER_ROUTINE_TIMED_OUT_DATA and WDF_QUEUE_FATAL_ERROR_DATA (wdfbugcodes.h), as
// 64-bit kernels lay them out.
const (
	wdfTimeoutDevice = 0x8
	wdfTimeoutThread = 0x18
	wdfQueueStatus   = 0x10
)

func collect10D(c *collection) {
	p := c.facts.Parameters
	switch {
	case c.m.Arch == dump.X86:
	case p[0] == wdfPowerTimeout:
		c.collectWDFTimeout(mem.VA(p[1]))
	case p[0] == wdfQueueError:
		if b, err := mem.Read(c.m.Memory, mem.VA(p[1]), wdfQueueStatus+4); err == nil {
			c.facts.Status = le.U32(b, wdfQueueStatus)
		}
	case p[0] == wdfRequestError && p[1] == wdfNoMoreLocations:
		c.object(objectAt{3, objectRequest, false})
	default:
		c.object(objects10D[p[0]])
	}
}

// collectWDFTimeout reads the device whose power routine did not come back, and the
// thread that is in it.
func (c *collection) collectWDFTimeout(va mem.VA) {
	b, err := mem.Read(c.m.Memory, va, wdfTimeoutThread+8)
	if err != nil {
		c.note("data of the framework", report.T("They are not in the dump: %v.", err.Error()))
		return
	}
	out := &Object{Parameter: 2, Kind: objectDevice}
	if err := c.describeObject(out, mem.VA(le.U64(b, wdfTimeoutDevice))); err != nil && out.Driver == "" {
		c.note("object", report.T("What parameter %d points to cannot be read: %v.", out.Parameter, err.Error()))
	}
	c.facts.Object = out
	c.aboutThread(le.U64(b, wdfTimeoutThread))
}

func judge10D(j *judgement) {
	p := j.f.Parameters
	j.meaningOf(1)
	switch p[0] {
	case wdfPowerTimeout:
		if !j.judgeThread(parameter(2)) {
			j.judgeObject(objectAt{2, objectDevice, true})
		} else {
			j.judgeObject(objectAt{2, objectDevice, false})
		}
	case wdfParameterIsNull:
		j.judgePlace(3)
	case wdfCriticalRegion:
		j.judgePlace(2)
	case wdfRequestError:
		j.meaningOf(2)
		j.judgeObject(objectAt{3, objectRequest, false})
	case wdfQueueError:
		if j.f.Status != 0 {
			j.evidence(report.Recorded, parameter(2), report.T("It ended with %s.", win.Status(j.f.Status)))
		}
	case wdfIRQLMismatch:
		j.evidence(report.Recorded, report.T("parameters 2 and 3"), report.T("The callback was entered at IRQL %d and came back at IRQL %d: a spin lock is most likely still held.", p[1], p[2]))
	default:
		j.judgeObject(objects10D[p[0]])
	}
}

func happened10D(*Facts) report.Text {
	return report.T("a driver broke a rule of the driver framework")
}
