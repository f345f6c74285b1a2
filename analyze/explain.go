package analyze

import (
	"bugcheck/report"
	"bugcheck/win"
)

// Advice is what to do about a stop code of which nothing is known but the code and, as far
// as they are given, its parameters: to find the dump, and then what the code alone calls
// for.
func Advice(c win.StopCode, parameters []uint64) []report.Text {
	f := Facts{Code: c.Code, RawCode: c.Code, Name: c.Name, Live: c.Live}
	copy(f.Parameters[:], parameters)
	keep := keepDumpStep(&judgement{f: &f}).Format
	var steps []report.Text
	for _, s := range Judge(f).NextSteps {
		if s.Format != keep { // there is none
			steps = append(steps, s)
		}
	}
	if c.Live { // nothing is urgent
		return append(steps[:min(len(steps), maxSteps-1)], findDumpStep(c))
	}
	steps = append([]report.Text{findDumpStep(c)}, steps...)
	return steps[:min(len(steps), maxSteps)]
}

// findDumpStep says where to look for a dump.
func findDumpStep(c win.StopCode) report.Text {
	if c.Live {
		return report.T("Find the dump, which tells more than the code: %s", report.Command(`bugcheck analyze C:\Windows\LiveKernelReports`))
	}
	return report.T("Find the dump, which tells more than the code: %s, or C:\\Windows\\Minidump. If there is none, have the next crash leave one: %s, then restart.", report.Command(`bugcheck analyze C:\Windows\MEMORY.DMP`), keepDumpsCommand)
}
