package analyze

import "bugcheck/report"

// PNP_DETECTED_FATAL_ERROR (0xCA): Plug and Play was told nonsense by a bus driver.
// P1 the kind, P2 the device object concerned, or for 0xA the driver object
// ("Bug Check 0xCA" in Microsoft's documentation: who created the device object is at
// fault; for 5 and 0xB it may be another driver).
var objectsCA = map[uint64]objectAt{
	1: {2, objectDevice, true}, 2: {3, objectDriver, true}, 3: {2, objectDevice, true}, 4: {2, objectDevice, true},
	5: {2, objectDevice, false}, 8: {2, objectDevice, true}, 0xa: {2, objectDriver, true}, 0xb: {2, objectDevice, false},
}

func collectCA(c *collection) { c.object(objectsCA[c.facts.Parameters[0]]) }

func judgeCA(j *judgement) {
	j.meaningOf(1)
	j.judgeObject(objectsCA[j.f.Parameters[0]])
	j.detector()
}

func happenedCA(*Facts) report.Text {
	return report.T("a driver told Plug and Play something wrong about a device")
}
