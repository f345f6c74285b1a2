package analyze

import (
	"strings"

	"bugcheck/report"
)

// userSteps says what to do about a crashed program, most useful first.
func userSteps(j *judgement, r userRule) []report.Text {
	steps := programSteps
	if r.steps != nil {
		steps = r.steps
	}
	list := steps(j)
	return list[:min(len(list), maxSteps)]
}

// programFile is the program's image for a command line, which a name out of a
// dump must not change the meaning of.
func programFile(j *judgement) string { return typeable(j.f.User.Program, "PROGRAM.exe") }

func updateProgramStep(j *judgement) report.Text {
	if v := &j.v; v.Cause == report.CauseProgram && v.Image != "" && !strings.EqualFold(v.Image, j.f.User.Program) {
		return report.T("Update %s and the software that %s belongs to; if one of them was updated lately, go back to the version before.", programFile(j), v.Image)
	}
	return report.T("Update %s; if it was updated lately, go back to the version before.", programFile(j))
}

// pageHeapStep: gflags comes with the Debugging Tools for Windows; /full puts
// each block before a page that must not be touched.
func pageHeapStep(j *judgement) report.Text {
	return report.T("Catch the damage where it is done: gflags /p /enable %s /full (Debugging Tools for Windows), run it until it crashes again, and look at that dump; afterwards gflags /p /disable %s.", programFile(j), programFile(j))
}

// localDumpsStep: the registry values of "Collecting User-Mode Dumps" in the
// Windows Error Reporting documentation; type 2 is a full dump.
func localDumpsStep(j *judgement) report.Text {
	return report.T("Have Windows keep full dumps of it: %s; they come to %%LOCALAPPDATA%%\\CrashDumps.", report.Command(`reg add "HKLM\SOFTWARE\Microsoft\Windows\Windows Error Reporting\LocalDumps\%s" /v DumpType /t REG_DWORD /d 2 /f`, programFile(j)))
}

func reportStep() report.Text {
	return report.T("Send this dump and the time of the crash to the maker of the program; it can hold passwords and documents, so not to the public.")
}

func programSteps(j *judgement) []report.Text {
	steps := []report.Text{updateProgramStep(j)}
	if wildPointer(j.f) {
		steps = append(steps, pageHeapStep(j))
	}
	steps = append(steps, localDumpsStep(j), reportStep())
	if len(j.f.User.Flips) == 1 || j.f.User.Bad != nil && j.f.User.Bad.Bit >= 0 {
		steps = append(steps, memoryTestStep())
	}
	return steps
}

// wildPointer reports an access that overwritten or freed memory can have led to.
func wildPointer(f *Facts) bool {
	x := f.Exception
	return x != nil && x.Code == statusAccessViolation && f.User.At.Kind != PlaceUnloaded && (x.Target == nil || *x.Target >= nullPages)
}

func heapSteps(j *judgement) []report.Text {
	return []report.Text{pageHeapStep(j), updateProgramStep(j), localDumpsStep(j), reportStep()}
}

func fastFailSteps(j *judgement) []report.Text {
	if p := j.f.User.Parameters; len(p) > 0 && (p[0] == 3 || p[0] == 10 || p[0] == 14 || p[0] == 64) {
		return heapSteps(j)
	}
	return programSteps(j)
}

func stackSteps(j *judgement) []report.Text {
	return []report.Text{
		updateProgramStep(j),
		report.T("What the program was given may nest too deeply: try it without the last document, project or script."),
		localDumpsStep(j), reportStep(),
	}
}

func inPageSteps(j *judgement) []report.Text {
	steps := []report.Text{report.T("If the program or the file that it works on stands on a network share, a USB drive or a memory card: copy it to the disk of the computer and run it from there.")}
	return append(steps, storageSteps()...)
}

func hangSteps(j *judgement) []report.Text {
	return []report.Text{
		report.T("If the program hung: take three dumps some seconds apart (procdump -ma -s 5 -n 3 %s) and compare where its main thread stands.", programFile(j)),
		report.T("Look in this dump at the other threads: one of them may hold what the main thread waits for (--all shows their stacks)."),
		updateProgramStep(j), reportStep(),
	}
}

func clrSteps(j *judgement) []report.Text {
	return []report.Text{
		report.T("Look in the Application log for the event of .NET Runtime at that time: it holds type, message and stack of the exception."),
		updateProgramStep(j), localDumpsStep(j), reportStep(),
	}
}

func missingSteps(j *judgement) []report.Text {
	return []report.Text{
		report.T("Repair or reinstall %s, and the Visual C++ Redistributable that it asks for.", programFile(j)),
		report.T("Look for a second, older copy of the library in the folder of the program and in PATH."),
	}
}

func memoryUseSteps(j *judgement) []report.Text {
	return append(resourceSteps(), updateProgramStep(j), reportStep())
}
