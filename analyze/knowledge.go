package analyze

import (
	"slices"
	"strings"
	"time"

	"bugcheck/report"
	"bugcheck/win"
)

// What is known of the loaded drivers by their names and dates. It is told where a verdict
// leaves the culprit open, and convicts nobody.

// rivals are the kinds of drivers that hook into the same place, of which a machine should
// have one: makers of such products say so themselves.
var rivals = []struct {
	kind string
	word report.Text
}{
	{"antivirus", report.T("anti-virus")},
	{"backup", report.T("backup")},
	{"crypto", report.T("disk encryption")},
	{"vpn", report.T("VPN")},
}

const (
	// oldDriver is an age at which a driver was made for another Windows: since 2016 new
	// drivers for Windows 10 have to be signed by Microsoft
	// (https://learn.microsoft.com/windows-hardware/drivers/install/kernel-mode-code-signing-policy--windows-vista-and-later-).
	oldDriver = 10 * 365 * 24 * time.Hour
	// maxUnloadedSuspects is how many drivers that had left are suspected.
	maxUnloadedSuspects = 2
	// maxListed is how many drivers a sentence names.
	maxListed = 6
)

// judgeKnown adds what is known of the drivers where nobody is convicted for sure.
func (j *judgement) judgeKnown() {
	if d, ok := win.English.Driver(j.v.Image); ok && d.Abused && !crashTools[strings.ToLower(j.v.Image)] {
		j.evidence(report.Derived, knownDrivers(), report.T("%s stands on a public list of drivers with known holes: look for a newer version, or who installed it.", j.v.Image))
	}
	open := j.v.Cause == report.CauseUnknown || j.v.Cause == report.CauseMemoryCorruption
	if !open || j.f.User != nil {
		return
	}
	j.judgeUnloaded()
	k := j.loaded()
	for _, r := range rivals {
		if list := k.rivals[r.kind]; len(list) > 1 {
			j.evidence(report.Recorded, listOfDrivers(), report.T("Drivers of several %s products are loaded: %s. They hook into the same places of Windows and disturb each other.", r.word, listed(list)))
		}
	}
	if len(k.abused) > 0 {
		j.evidence(report.Derived, knownDrivers(), report.T("Loaded drivers that stand on a public list of drivers with known holes: %s. They let programs write to any memory.", listed(k.abused)))
	}
	if len(k.old) > 0 && len(j.v.Alternatives) == 0 && !j.known {
		j.evidence(report.Guessed, listOfDrivers(), report.T("Drivers from outside Windows that are more than ten years old by the date in their header: %s.", listed(k.old)))
	}
}

// loadedDrivers are those from outside Windows of which something is to be told.
type loadedDrivers struct {
	rivals      map[string][]string // by kind, one driver of each maker
	abused, old []string
}

func (j *judgement) loaded() loadedDrivers {
	k := loadedDrivers{rivals: map[string][]string{}}
	owners := map[string]bool{}
	for _, i := range j.f.Images {
		d, ok := win.English.Driver(i.Image)
		if ok && d.Microsoft() {
			continue
		}
		if j.isOld(i) {
			k.old = append(k.old, i.Image)
		}
		if !ok {
			continue
		}
		if d.Abused {
			k.abused = append(k.abused, i.Image)
		}
		if maker := d.Kind + "\x00" + d.Owner; !owners[maker] {
			owners[maker] = true
			k.rivals[d.Kind] = append(k.rivals[d.Kind], i.Image+" ("+d.Owner+")")
		}
	}
	return k
}

func knownDrivers() report.Text  { return report.T("list of known drivers") }
func listOfDrivers() report.Text { return report.T("list of loaded drivers") }

// judgeUnloaded: what a driver that has left still had in hand damages memory later.
func (j *judgement) judgeUnloaded() {
	if !isPoolCode[j.f.Code] {
		return
	}
	n := 0
	for _, image := range j.f.Unloaded {
		// Small dumps keep twelve characters of a name: who is meant must be known.
		if d, ok := win.English.Driver(image); n < maxUnloadedSuspects && ok && !d.Microsoft() {
			n++
			j.gone = append(j.gone, image)
			j.suggest(image, report.T("it was unloaded before the crash; work that a driver leaves behind when it goes damages memory later"))
		}
	}
}

// isOld reports a driver whose header has a date long before the crash. Builds that are to
// be the same every time have a number there that is no date; such dates mostly cannot be.
func (j *judgement) isOld(i Image) bool {
	return !i.Built.IsZero() && !j.f.At.IsZero() && j.f.At.Sub(i.Built) > oldDriver
}

func listed(list []string) report.Text {
	if len(list) > maxListed {
		return report.T("%s and %d more", strings.Join(list[:maxListed], ", "), len(list)-maxListed)
	}
	return report.T("%s", strings.Join(list, ", "))
}

// firstDate is that of the first Windows with signed 64-bit drivers; dates before it in an
// image of today's Windows are none.
var firstDate = time.Date(2003, 1, 1, 0, 0, 0, 0, time.UTC)

// built is the date in an image's header, seconds since 1970; zero for one that cannot be.
func built(stamp uint32) time.Time {
	t := time.Unix(int64(stamp), 0).UTC()
	if t.Before(firstDate) {
		return time.Time{}
	}
	return t
}

// toolPrograms are the programs of crashTools.
var toolPrograms = []struct{ name, driver string }{
	{"notmyfault64.exe", "myfault.sys"}, {"notmyfault.exe", "myfault.sys"},
	{"notmyfaultc64.exe", "myfault.sys"}, {"notmyfaultc.exe", "myfault.sys"},
}

// keptName is how many characters of a program's name EPROCESS keeps (ImageFileName).
const keptName = 14

// judgeCrashTool: where the program that makes crashes is at work and its driver is
// loaded, it has most likely made this one, whatever became of the stack.
func (j *judgement) judgeCrashTool() {
	if j.v.Cause != report.CauseUnknown && j.v.Cause != report.CauseMemoryCorruption {
		return
	}
	for _, p := range toolPrograms {
		isIt := strings.EqualFold(j.f.Process, p.name) || strings.EqualFold(j.f.Process, p.name[:keptName])
		loaded := func(i Image) bool { return strings.EqualFold(i.Image, p.driver) }
		if isIt && slices.ContainsFunc(j.f.Images, loaded) {
			j.suggest(p.driver, report.T("its program, %s, was at work on this processor; it crashes Windows on purpose", p.name))
			return
		}
	}
}
