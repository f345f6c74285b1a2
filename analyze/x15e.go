package analyze

import "bugcheck/report"

// BUGCODE_NDIS_DRIVER_LIVE_DUMP (0x15E): P1 the kind; of 1, P3 the adapter's physical
// device.
var objects15E = map[uint64]objectAt{1: {3, objectPDO, true}}

func collect15E(c *collection) { c.object(objects15E[c.facts.Parameters[0]]) }

func judge15E(j *judgement) {
	j.meaningOf(1)
	j.judgeObject(objects15E[j.f.Parameters[0]])
	j.suggestKinds(report.T("network drivers from outside Windows can do this; nothing else points there"), "network", "vpn")
	j.detector()
}

func happened15E(*Facts) report.Text { return report.T("a network driver got into trouble") }
